"""The optimizer of a training."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from shared.spec.base import Strict
from shared.spec.loss import check_arguments

OptimizerName = Literal["adam", "adamw", "nadam", "adamax", "sgd", "rmsprop", "adagrad", "adadelta", "lion"]

_Decay = Annotated[float, Field(ge=0, lt=1)]
_Clip = Annotated[float, Field(gt=0)]

_COMMON = ("weight_decay", "clipnorm", "clipvalue", "global_clipnorm")
_ARGUMENTS: dict[OptimizerName, tuple[str, ...]] = {
    "adam": ("beta_1", "beta_2", "epsilon", "amsgrad"),
    "adamw": ("beta_1", "beta_2", "epsilon", "amsgrad"),
    "nadam": ("beta_1", "beta_2", "epsilon"),
    "adamax": ("beta_1", "beta_2", "epsilon"),
    "sgd": ("momentum", "nesterov"),
    "rmsprop": ("rho", "momentum", "epsilon", "centered"),
    "adagrad": ("initial_accumulator_value", "epsilon"),
    "adadelta": ("rho", "epsilon"),
    "lion": ("beta_1", "beta_2"),
}


class OptimizerSpec(Strict):
    """Optimizer with arguments. What is left out has Keras's default."""

    model_config = ConfigDict(
        json_schema_extra={"x-arguments": {name: [*own, *_COMMON] for name, own in _ARGUMENTS.items()}}
    )

    name: OptimizerName
    """Name of the optimizer."""
    momentum: _Decay | None = None
    """Momentum of sgd and rmsprop."""
    nesterov: bool | None = None
    """Whether sgd uses Nesterov momentum."""
    beta_1: _Decay | None = None
    """Decay of the first moment's estimate."""
    beta_2: _Decay | None = None
    """Decay of the second moment's estimate."""
    rho: _Decay | None = None
    """Decay of the average of squared gradients."""
    epsilon: float | None = Field(default=None, gt=0, le=1)
    """Small number for numerical stability."""
    amsgrad: bool | None = None
    """Whether adam and adamw use their AMSGrad variant."""
    centered: bool | None = None
    """Whether rmsprop normalizes by the estimated variance."""
    initial_accumulator_value: float | None = Field(default=None, ge=0)
    """First value of adagrad's accumulators."""
    weight_decay: float | None = Field(default=None, ge=0, lt=1)
    """Decoupled weight decay."""
    clipnorm: _Clip | None = None
    """Maximum norm of each gradient."""
    clipvalue: _Clip | None = None
    """Maximum absolute value in a gradient."""
    global_clipnorm: _Clip | None = None
    """Maximum norm of all gradients together."""

    @model_validator(mode="after")
    def _takes_its_arguments(self) -> "OptimizerSpec":
        check_arguments(self.name, self.arguments, (*_ARGUMENTS[self.name], *_COMMON))
        clips = [name for name in _COMMON[1:] if name in self.arguments]
        if len(clips) > 1:
            raise ValueError(f"give one of {', '.join(clips)}")
        return self

    @property
    def arguments(self) -> dict[str, float | bool]:
        """The arguments that were given."""
        return self.model_dump(exclude={"name"}, exclude_none=True)
