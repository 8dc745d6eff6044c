"""A learning-rate schedule."""

from typing import Annotated, Literal

from pydantic import Field

from shared.spec.base import MOST_EPOCHS, Strict


class LearningRateScheduleSpec(Strict):
    """Learning rate of each epoch by a formula, instead of `reduce_lr_on_plateau`."""

    kind: Literal["cosine", "exponential", "step"] = "cosine"
    """Decay after the warm-up: half a cosine down to `min_lr`, a constant ratio for each epoch, or steps."""
    warmup_epochs: int = Field(default=0, ge=0, le=MOST_EPOCHS)
    """Number of epochs in which the learning rate rises linearly to `learning_rate`."""
    decay_epochs: Literal["auto"] | Annotated[int, Field(ge=1, le=MOST_EPOCHS)] = "auto"
    """Epochs of the whole cosine, or in which the rate is multiplied by `factor`. "auto": all after the warm-up."""
    factor: float = Field(default=0.1, gt=0, lt=1)
    """Factor of the kinds exponential and step."""
    min_lr: float = Field(default=0.0, ge=0)
    """Lower bound on the learning rate after the warm-up."""
