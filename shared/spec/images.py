"""A job's images, and how they are prepared."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from shared.ids import DatasetId
from shared.spec.base import Strict

Pixels = Annotated[int, Field(ge=8, le=1024)]


class AugmentSpec(Strict):
    """Random changes of the training images, new in every epoch. Validation and the saved model never see them."""

    flip_horizontal: bool = False
    """Whether half of the images are mirrored left to right."""
    flip_vertical: bool = False
    """Whether half of the images are mirrored top to bottom."""
    shift: float = Field(default=0.0, ge=0, le=0.5)
    """Maximum shift in each direction, as a fraction of the image's size."""
    rotation: float = Field(default=0.0, ge=0, le=180)
    """Maximum rotation in either direction, in degrees."""
    zoom: float = Field(default=0.0, ge=0, le=0.9)
    """Maximum zoom: 0.2 shows from 0.8 to 1.2 times the image."""
    brightness: float = Field(default=0.0, ge=0, le=1)
    """Maximum change of brightness, as a fraction of the range of a pixel."""
    contrast: float = Field(default=0.0, ge=0, lt=1)
    """Maximum change of contrast: 0.2 scales the distance from the mean by 0.8 to 1.2."""
    cutout: float = Field(default=0.0, ge=0, lt=1)
    """Side of a square that is set to 0 at a random place, as a fraction of the image's size."""
    mixup: float = Field(default=0.0, ge=0, le=4)
    """Alpha of mixup: a second image and its label are mixed in, with a share of Beta(alpha, alpha); usually 0.2."""

    @model_validator(mode="after")
    def _changes_something(self) -> "AugmentSpec":
        if self == AugmentSpec.model_construct():
            raise ValueError("changes nothing; give at least one of flip_horizontal, shift, rotation, …, or null")
        return self

    @property
    def is_geometric(self) -> bool:
        """Whether pixels move other than by mirroring."""
        return bool(self.shift or self.rotation or self.zoom)


class ImagesSpec(Strict):
    """Images and their preparation. The target is each image's class."""

    kind: Literal["images"] = "images"
    """Kind of the dataset. Default: the kind of the dataset with that id."""
    id: DatasetId
    """Id of an uploaded dataset."""
    size: Literal["auto"] | Annotated[tuple[Pixels, ...], Field(min_length=2, max_length=2)] = "auto"
    """Height and width that the images are resized to. "auto": the size that all of them have, else 224 x 224."""
    resize: Literal["crop", "pad", "stretch"] = "crop"
    """How another aspect ratio is made to fit: crop the centre, pad with black, or stretch."""
    channels: Literal["auto", 1, 3] = "auto"
    """Number of channels: 1 for grey, 3 for colour. "auto": 1 if all images are grey."""
    validation_fraction: float = Field(default=0.2, gt=0, lt=1)
    """Fraction of the images used for validation, where the dataset has no validation part of its own."""
    test_fraction: float | None = Field(default=None, gt=0, lt=1)
    """Fraction of the images kept aside to evaluate the best model: neither trained on nor validated on. null: none,
    or the dataset's own test part. validation_fraction is of the other images."""
    stratify: bool = True
    """Whether the split is stratified: all parts have the same class proportions."""
    split_seed: int = Field(default=42, ge=0, le=2**32 - 1)
    """Seed of the splits."""
    augment: AugmentSpec | None = None
    """Random changes of the training images; null: none."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels, of a spec with nothing left open."""
        if self.size == "auto" or self.channels == "auto":
            raise ValueError("the spec has not been resolved")
        height, width = self.size
        return height, width, self.channels
