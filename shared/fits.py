"""The calls of `fit` of a program's script, as the training process reports them: one event of type "fit" for each.

A job's epochs count over all calls: the first epoch of the second call follows the last one of the first.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.events import Event
from shared.spec import EarlyStoppingSpec

EVENT = "fit"
Kept = Literal["exact", "epoch", "inexact"]


class FitCall(BaseModel):
    """One call of `fit`, which trains the epochs of the job after `after_epoch` and up to `epochs`.

    `rule` is its early stopping, None if it has none. `resume` says what an interruption changes: nothing ("exact"),
    the memory of some callbacks ("epoch"), or the numbers ("inexact"). `reasons` say why.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    number: int = Field(ge=1)
    after_epoch: int = Field(ge=0)
    epochs: int = Field(ge=0)
    batch_size: int = Field(ge=1)
    rule: EarlyStoppingSpec | None = None
    resume: Kept = "exact"
    reasons: tuple[str, ...] = ()

    @classmethod
    def of(cls, event: Event) -> "FitCall | None":
        """The call that an event reports; None for other events and for an incomplete one."""
        if event.type != EVENT:
            return None
        try:
            return cls.model_validate(event.data)
        except ValidationError:
            return None

    def event_data(self) -> dict[str, Any]:
        """The data of the event."""
        return self.model_dump(mode="json")
