"""Settings of early stopping that a request may change."""

from typing import Literal

from pydantic import Field

from shared.spec import MOST_EPOCHS, Monitor, Strict


class ReplaySettings(Strict):
    """Settings to replay. Fields left out keep the job's values."""

    monitor: Monitor | None = None
    mode: Literal["min", "max"] | None = None
    min_delta: float | None = Field(default=None, ge=0)
    patience: int | None = Field(default=None, ge=1, le=MOST_EPOCHS)
    start_from_epoch: int | None = Field(default=None, ge=0, le=MOST_EPOCHS)
