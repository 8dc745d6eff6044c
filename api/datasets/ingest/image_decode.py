"""One image: decoded whole, so that a broken one is named at the upload and not in an epoch."""

import io
import warnings
from dataclasses import dataclass

from PIL import Image, ImageOps, UnidentifiedImageError

_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP")
_THUMBNAIL_PIXELS = 96
# A small image loses too much as a JPEG.
_PNG_PIXELS = 64
# A number of channels by Pillow's mode; a palette has as many as its colours.
_GREY_MODES = frozenset({"1", "L", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"})
_ALPHA_MODES = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})

# An image's size is judged by our own limit, from its header.
Image.MAX_IMAGE_PIXELS = None


class BadImage(Exception):
    """An image that cannot be taken; the message says why, after its name."""


@dataclass(frozen=True)
class Decoded:
    """What is known of an image: pixels and channels (1, 3 or 4), and what a model will not see of it."""

    image: Image.Image
    width: int
    height: int
    channels: int
    is_animated: bool
    is_deep: bool

    def thumbnail(self) -> tuple[bytes, str]:
        """A small PNG or JPEG of it, and its media type."""
        image = self.image.convert("I").point(lambda value: value / 256) if self.is_deep else self.image
        small = image.convert("RGBA" if self.channels == 4 else "RGB")
        small.thumbnail((_THUMBNAIL_PIXELS, _THUMBNAIL_PIXELS))
        is_png = self.channels == 4 or max(small.size) <= _PNG_PIXELS
        # Nothing of the file but its pixels: no comment, no place where it was taken.
        small.info.clear()
        content = io.BytesIO()
        small.save(content, "PNG" if is_png else "JPEG")
        return content.getvalue(), "image/png" if is_png else "image/jpeg"


def decode(content: bytes, most_pixels: int) -> Decoded:
    """Decode an image, the first picture of an animation. Raises BadImage.

    It is turned as its EXIF data says, as training turns it. Its size is judged from its header.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _decode(content, most_pixels)
    except (BadImage, MemoryError):
        raise
    # Pillow raises whatever its parsers meet: OSError, SyntaxError, ValueError, struct.error, and others.
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
