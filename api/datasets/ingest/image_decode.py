"""Decodes a whole image, so that a damaged one is reported at the upload and not during training."""

import io
import warnings
from dataclasses import dataclass

from PIL import Image, ImageOps, UnidentifiedImageError

_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP")
_THUMBNAIL_PIXELS = 96
# Up to this width and height a thumbnail is a PNG: a small JPEG has visible errors.
_PNG_PIXELS = 64
# The number of channels by Pillow's mode. Every other mode has 3, or 4 with transparency.
_GREY_MODES = frozenset({"1", "L", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"})
_ALPHA_MODES = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})

# `decode` compares the size in the header with Fitstop's own limit.
Image.MAX_IMAGE_PIXELS = None


class BadImage(Exception):
    """An image that is refused. The message is the predicate of a sentence that begins with the image's name."""


@dataclass(frozen=True)
class Decoded:
    """A decoded image: size in pixels, channels (1, 3 or 4), and properties that a model will not see."""

    image: Image.Image
    width: int
    height: int
    channels: int
    is_animated: bool
    is_deep: bool

    def thumbnail(self) -> tuple[bytes, str]:
        """A PNG or JPEG of at most 96 x 96 pixels, and its media type."""
        image = self.image.convert("I").point(lambda value: value / 256) if self.is_deep else self.image
        small = image.convert("RGBA" if self.channels == 4 else "RGB")
        small.thumbnail((_THUMBNAIL_PIXELS, _THUMBNAIL_PIXELS))
        is_png = self.channels == 4 or max(small.size) <= _PNG_PIXELS
        # Keep only the pixels: no comments, and no location where the photo was taken.
        small.info.clear()
        content = io.BytesIO()
        small.save(content, "PNG" if is_png else "JPEG")
        return content.getvalue(), "image/png" if is_png else "image/jpeg"


def decode(content: bytes, most_pixels: int) -> Decoded:
    """Decode an image, or the first frame of an animation. Raises BadImage.

    It is rotated by its EXIF data, as in training. An image of more than `most_pixels` is refused by its header alone.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _decode(content, most_pixels)
    except (BadImage, MemoryError):
        raise
    # Pillow's parsers raise exceptions of many types: OSError, SyntaxError, ValueError, struct.error, and others.
    except Exception as error:
        why = "is cut short" if "truncated" in str(error) else "is damaged"
        raise BadImage(f"{why} and cannot be decoded") from None


def _decode(content: bytes, most_pixels: int) -> Decoded:
    try:
        image = Image.open(io.BytesIO(content), formats=_FORMATS)
    except UnidentifiedImageError:
        raise BadImage("is not an image; expected JPEG, PNG, GIF, BMP or WebP") from None
    width, height = image.size
    if width * height > most_pixels:
        raise BadImage(f"has {width} x {height} pixels, expected at most {most_pixels}")
    is_animated = bool(getattr(image, "is_animated", False)) and image.format != "MPO"
    image.seek(0)
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    return Decoded(image, *image.size, _channels(image), is_animated, image.mode.startswith("I"))


def _channels(image: Image.Image) -> int:
    if image.mode in _GREY_MODES:
        return 1
    if image.mode in _ALPHA_MODES or image.has_transparency_data:
        return 4
    return 3
