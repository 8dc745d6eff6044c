"""The loss function of a training."""

from typing import Literal

from pydantic import ConfigDict, Field, model_validator

from shared.spec.base import Strict

LossName = Literal[
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "sparse_categorical_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "mean_squared_error",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_logarithmic_error",
    "huber",
    "log_cosh",
    "poisson",
]
Loss = Literal["auto", LossName]

_ARGUMENTS: dict[LossName, tuple[str, ...]] = {
    "binary_crossentropy": ("from_logits", "label_smoothing"),
    "binary_focal_crossentropy": ("from_logits", "label_smoothing", "gamma", "alpha"),
    "sparse_categorical_crossentropy": ("from_logits",),
    "categorical_crossentropy": ("from_logits", "label_smoothing"),
    "categorical_focal_crossentropy": ("from_logits", "label_smoothing", "gamma", "alpha"),
    "huber": ("delta",),
}


class LossSpec(Strict):
    """Loss function with arguments. What is left out has Keras's default."""

    model_config = ConfigDict(json_schema_extra={"x-arguments": {name: list(own) for name, own in _ARGUMENTS.items()}})

    name: LossName
    """Name of the loss function."""
    from_logits: bool | None = None
    """Whether the model's outputs are logits: not yet passed through sigmoid or softmax."""
    label_smoothing: float | None = Field(default=None, ge=0, lt=1)
    """Label smoothing of a cross-entropy."""
    gamma: float | None = Field(default=None, ge=0, le=100)
    """Focusing parameter of a focal cross-entropy."""
    alpha: float | None = Field(default=None, ge=0, le=1)
    """Weight of a focal cross-entropy."""
    delta: float | None = Field(default=None, gt=0)
    """Where Huber's loss changes from quadratic to linear."""

    @model_validator(mode="after")
    def _takes_its_arguments(self) -> "LossSpec":
        check_arguments(self.name, self.arguments, _ARGUMENTS.get(self.name, ()))
        return self

    @property
    def arguments(self) -> dict[str, float | bool]:
        """The arguments that were given."""
        return self.model_dump(exclude={"name"}, exclude_none=True)


def check_arguments(name: str, given: dict[str, float | bool], taken: tuple[str, ...]) -> None:
    """Raise ValueError that names the arguments that `name` does not take."""
    wrong = [one for one in given if one not in taken]
    if wrong:
        known = f"it takes {', '.join(taken)}" if taken else "it takes no arguments"
        raise ValueError(f"{name} does not take {', '.join(wrong)}; {known}")
