"""A network of `keras.applications`."""

from typing import Annotated, Literal

from pydantic import Field

from shared.ids import WeightsId
from shared.spec.base import Strict

ApplicationName = Literal[
    "MobileNetV2",
    "MobileNetV3Small",
    "MobileNetV3Large",
    "EfficientNetV2B0",
    "EfficientNetV2B1",
    "EfficientNetV2B2",
    "EfficientNetV2B3",
    "ResNet50",
    "ResNet101",
    "ConvNeXtTiny",
    "ConvNeXtSmall",
    "DenseNet121",
    "Xception",
]
Trainable = Literal["all", "head"] | Annotated[int, Field(ge=1, le=1000)]


class ApplicationSpec(Strict):
    """Network of `keras.applications` for images, with its own input scaling and a new output layer."""

    kind: Literal["application"]
    """Architecture of the model."""
    name: ApplicationName
    """Name of the network in `keras.applications`."""
    weights: WeightsId | None = None
    """Id of uploaded weights of the network without its head (`PUT /models/{id}`); null: random weights by the seed."""
    trainable: Trainable = "all"
    """Layers of the network that are trained: all, none but the new head, or the last ones by their number."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """Dropout rate before the output layer."""
