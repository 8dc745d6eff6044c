"""The hyperparameters of a training."""

from typing import Annotated, Literal

from pydantic import Field

from shared.spec.base import MOST_DEVICES, MOST_EPOCHS, Strict
from shared.spec.loss import Loss, LossSpec
from shared.spec.optimizer import OptimizerName, OptimizerSpec

Metric = Literal["accuracy", "precision", "recall", "auc", "f1", "top_5_accuracy", "mae", "mse", "rmse", "r2"]


class Hyperparameters(Strict):
    """Hyperparameters of the training."""

    epochs: int = Field(default=1000, ge=1, le=MOST_EPOCHS)
    """Maximum number of epochs."""
    batch_size: int = Field(default=32, ge=1, le=65_536)
    """Number of rows per training step."""
    optimizer: OptimizerName | OptimizerSpec = "adam"
    """Keras optimizer by its name, or with arguments: {"name": "sgd", "momentum": 0.9}."""
    learning_rate: float = Field(default=0.001, gt=0, le=100)
    """Initial learning rate."""
    loss: Loss | LossSpec = "auto"
    """Loss function to minimize, by its name or with arguments. "auto" follows from the target."""
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
    devices: int = Field(default=1, ge=1, le=MOST_DEVICES)
    """Number of devices of one worker that share each batch, on the stock engine. More than 1 needs such a worker."""
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    """Dtype policy of Keras."""

    @property
    def loss_name(self) -> Loss:
        """The name of the loss function, or "auto"."""
        return self.loss.name if isinstance(self.loss, LossSpec) else self.loss

    @property
    def chosen_loss(self) -> LossSpec:
        """The loss function of a spec with nothing left open."""
        if self.loss == "auto":
            raise ValueError("the spec has not been resolved")
        return self.loss if isinstance(self.loss, LossSpec) else LossSpec(name=self.loss)

    @property
    def chosen_optimizer(self) -> OptimizerSpec:
        """The optimizer with its arguments."""
        return self.optimizer if isinstance(self.optimizer, OptimizerSpec) else OptimizerSpec(name=self.optimizer)

    @property
    def chosen_metrics(self) -> tuple[Metric, ...]:
        """The metrics of a spec with nothing left open."""
        if self.metrics == "auto":
            raise ValueError("the spec has not been resolved")
        return self.metrics
