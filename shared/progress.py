"""What an epoch's event says of the run: the `data` of an event of type "epoch". Epochs count from 1."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class _Frozen(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Best(_Frozen):
    """The best epoch so far by the monitor that decides which model is kept."""

    epoch: int
    monitor: str
    value: float


class Patience(_Frozen):
    """State of early stopping: it stops at `stops_at_epoch` unless `monitor` becomes better than `best_value`.

    `stops_at_epoch` is never above the epochs of the spec; `best_*` are None until a value was finite.
    """

    monitor: str
    wait: int
    patience: int
    stops_at_epoch: int
    best_epoch: int | None
    best_value: float | None


class PlateauWait(_Frozen):
    """State of ReduceLROnPlateau."""

    wait: int
    patience: int


class EpochProgress(_Frozen):
    """One epoch: its metrics (None where a value was not finite) and the state of the callbacks after it.

    `learning_rate` is the one that the epoch was trained with, `seconds` its length, validation included.
    """

    epoch: int
    epochs: int
    metrics: dict[str, float | None]
    learning_rate: float
    seconds: float
    best: Best | None
    early_stopping: Patience | None
    reduce_lr: PlateauWait | None

    @classmethod
    def of(cls, data: dict[str, Any]) -> Self:
        """What the data of an event says, whatever more a newer version tells in it. Raises ValidationError."""
        return cls.model_validate(data, extra="ignore")
