"""The hyperparameters of a training."""

from typing import Annotated, Literal

from pydantic import Field

from shared.spec.base import MOST_EPOCHS, Strict

Loss = Literal[
    "auto",
    "binary_crossentropy",
    "sparse_categorical_crossentropy",
    "mean_squared_error",
    "mean_absolute_error",
    "huber",
]
Metric = Literal["accuracy", "precision", "recall", "auc", "mae", "mse", "rmse", "r2"]


class Hyperparameters(Strict):
    """Hyperparameters of the training."""

    epochs: int = Field(default=1000, ge=1, le=MOST_EPOCHS)
    """Maximum number of epochs."""
    batch_size: int = Field(default=32, ge=1, le=65_536)
    """Number of rows per training step."""
    optimizer: Literal["adam", "adamw", "nadam", "sgd", "rmsprop", "adagrad"] = "adam"
    """Keras optimizer, with its defaults except for the learning rate."""
    learning_rate: float = Field(default=0.001, gt=0, le=100)
    """Initial learning rate."""
    loss: Loss = "auto"
    """Loss function to minimize. "auto" follows from the target."""
    metrics: Literal["auto"] | Annotated[tuple[Metric, ...], Field(max_length=8)] = "auto"
    """Metrics to compute in addition to the loss. "auto" follows from the target."""
    seed: int = Field(default=42, ge=0, le=2**32 - 1)
    """Seed of the initial weights, the order of the rows and the dropout."""
    class_weight: Literal["balanced"] | None = None
    """Class weights in the loss. "balanced" weights each class inversely to its frequency."""
    engine: Literal["auto", "fused", "stock"] = "auto"
    """Training loop: "fused" runs many steps in one call, "stock" is Keras's own. "auto": fused if possible."""
    xla: Literal["auto"] | bool = "auto"
    """Whether to compile with XLA, which may change rounding. "auto": if there are enough steps to repay compiling."""
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    """Dtype policy of Keras."""

    @property
    def chosen_metrics(self) -> tuple[Metric, ...]:
        """The metrics of a spec with nothing left open."""
        if self.metrics == "auto":
            raise ValueError("the spec has not been resolved")
        return self.metrics
