"""A convolutional network."""

from typing import Annotated, Literal

from pydantic import Field

from shared.spec.base import Strict
from shared.spec.dense import Activation, Units


class CnnSpec(Strict):
    """Convolutional network, for images and for arrays of shape (rows, height, width, channels).

    Each block is a convolution, batch normalization, the activation, and pooling by 2. Global average pooling and the
    dense layers follow. The output layer follows from the target.
    """

    kind: Literal["cnn"]
    """Architecture of the model."""
    filters: tuple[Annotated[int, Field(ge=1, le=2048)], ...] = Field(default=(32, 64, 128), min_length=1, max_length=9)
    """Number of filters of each block."""
    kernel_size: int = Field(default=3, ge=1, le=11)
    """Height and width of the convolution window."""
    pooling: Literal["max", "average"] = "max"
    """Pooling at the end of each block."""
    batch_normalization: bool = True
    """Whether batch normalization follows each convolution."""
    activation: Activation = "relu"
    """Activation function."""
    dense: tuple[Units, ...] = Field(default=(128,), max_length=8)
    """Number of units of each dense layer before the output."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout rate after each dense layer: the fraction of units set to 0 during training."""
