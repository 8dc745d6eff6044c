"""A dense network."""

from typing import Annotated, Literal

from pydantic import Field

from shared.spec.base import Strict

Units = Annotated[int, Field(ge=1, le=65_536)]
Activation = Literal[
    "relu",
    "elu",
    "selu",
    "gelu",
    "silu",
    "tanh",
    "sigmoid",
    "leaky_relu",
    "softplus",
    "softsign",
    "linear",
]


class DenseSpec(Strict):
    """Dense network, for tables and for arrays of shape (rows, features). The output layer follows from the target."""

    kind: Literal["dense"] = "dense"
    """Architecture of the model."""
    layers: tuple[Units, ...] = Field(default=(64, 64, 64), min_length=1, max_length=64)
    """Number of units of each hidden layer."""
    activation: Activation = "relu"
    """Activation function of the hidden layers."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout rate after each hidden layer: the fraction of units set to 0 during training."""
    batch_normalization: bool = False
    """Whether batch normalization follows each hidden layer."""
