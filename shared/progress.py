"""The state of a run after an epoch: the `data` of an event of type "epoch". Epochs count from 1."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

# Fits into eight bytes.
Count = Annotated[int, Field(ge=0, le=2**53)]
# As microseconds, too.
Seconds = Annotated[float, Field(ge=0, le=1e10, allow_inf_nan=False)]


class _Frozen(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class Best(_Frozen):
    """Best saved model so far: its epoch, and the value of the metric by which models are saved."""

    epoch: Count
    monitor: str
    value: float


class LastImprovement(_Frozen):
    """Last epoch that early stopping counts as an improvement: a value better by more than `min_delta`.

    With a min delta, the best model can be from a later epoch. `min_delta` is null if an older version recorded the
    event without it.
    """

    epoch: Count
    value: float
    min_delta: float | None


def take_old_names(data: Any) -> tuple[Any, dict[str, Any] | None]:
    """Take `best_epoch` and `best_value`, the names of a last improvement in older versions, out of a document.

    Returns the rest of the document and the fields of the last improvement, None if the document has none.
    """
    if not isinstance(data, dict) or "best_epoch" not in data:
        return data, None
    rest = {name: value for name, value in data.items() if name not in {"best_epoch", "best_value"}}
    epoch, value = data["best_epoch"], data.get("best_value")
    if epoch is None or value is None:
        return rest, None
    return rest, {"epoch": epoch, "value": value, "min_delta": None}


class Patience(_Frozen):
    """State of early stopping: it stops at `stops_at_epoch` unless `monitor` improves by more than the min delta.

    `stops_at_epoch` is never above the max epochs; `last_improvement` is null until a value is finite.
    """

    monitor: str
    wait: Count
    patience: Count
    stops_at_epoch: Count
    last_improvement: LastImprovement | None

    @model_validator(mode="before")
    @classmethod
    def _accept_old_names(cls, data: Any) -> Any:
        rest, old = take_old_names(data)
        return rest if rest is data else {"last_improvement": old, **rest}

    def event_data(self) -> dict[str, Any]:
        """JSON values for an event, also under the names that versions before `last_improvement` require."""
        last = self.last_improvement
        old = {"best_epoch": last.epoch if last else None, "best_value": last.value if last else None}
        return {**self.model_dump(mode="json"), **old}


class PlateauWait(_Frozen):
    """State of ReduceLROnPlateau."""

    wait: Count
    patience: Count


class EpochProgress(_Frozen):
    """One epoch: its metrics (None if a value was not finite) and the state of the callbacks after it.

    `learning_rate` is the learning rate of the epoch, `seconds` its duration, including validation.
    """

    epoch: Count
    epochs: Count
    metrics: dict[str, float | None]
    learning_rate: float
    seconds: Seconds
    best: Best | None
    early_stopping: Patience | None
    reduce_lr: PlateauWait | None

    @classmethod
    def of(cls, data: dict[str, Any]) -> Self:
        """Parse the data of an event; fields of newer versions are ignored. Raises ValidationError."""
        return cls.model_validate(data, extra="ignore")

    def event_data(self) -> dict[str, Any]:
        """The data of an event of type "epoch"."""
        stopping = self.early_stopping.event_data() if self.early_stopping else None
        return {**self.model_dump(mode="json"), "early_stopping": stopping}
