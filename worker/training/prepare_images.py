"""Turn image files into the pixels that the model reads, in training, in validation and in prediction.

A standalone program that imports nothing from Fitstop: the training process uses it and saves a copy as `prepare.py`
next to the model, with `schema.json`: height, width, channels, and how to fit another aspect ratio. predict.py calls
`load`, `read`, `is_complete`, `transform` and `names`: keep their meaning.
"""

import io
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

Pixels = npt.NDArray[np.uint8]

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp"}
_BLACK = 0

# An upload limits the size of an image, and predict.py reads its user's own files.
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True)
class Preparation:
    """Height and width in pixels, 1 channel for grey or 3 for colour, and `resize`: crop, pad or stretch."""

    height: int
    width: int
    channels: int
    resize: str

    def decode(self, content: bytes) -> Pixels:
        """The pixels of one encoded image, uint8 of shape (height, width, channels). Raises OSError, ValueError.

        Applies the EXIF orientation, takes the first frame of an animation, and puts transparent images on black.
        Resizes with Pillow's bilinear filter, which averages when it shrinks.
        """
        with Image.open(io.BytesIO(content)) as file:
            image = ImageOps.exif_transpose(file)
            image = _to_eight_bits(image) if image.mode.startswith("I") else image
            image = _over_black(image) if image.has_transparency_data else image
            image = image.convert("L" if self.channels == 1 else "RGB")
        return np.asarray(self._fit(image), np.uint8).reshape(self.height, self.width, self.channels)

    def _fit(self, image: Any) -> Any:
        size = (self.width, self.height)
        if image.size == size:
            return image
        if self.resize == "crop":
            return ImageOps.fit(image, size, Image.Resampling.BILINEAR)
        if self.resize == "pad":
            return ImageOps.pad(image, size, Image.Resampling.BILINEAR, color=_BLACK)
        return image.resize(size, Image.Resampling.BILINEAR)

    def read(self, path: Path) -> npt.NDArray[Any]:
        """The image files in a folder and its subfolders, sorted; or one file. Raises ValueError."""
        files = sorted(one for one in path.rglob("*") if one.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
        if not files:
            raise ValueError(f"holds no image files; expected {', '.join(sorted(SUFFIXES))}")
        found = np.empty(len(files), object)
        found[:] = files
        return found

    def is_complete(self, files: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """For each file, whether the model can predict it: whether it can be decoded completely. Raises OSError."""
        with ThreadPoolExecutor() as pool:
            return np.fromiter(pool.map(self._is_image, files), np.bool_, len(files))

    def _is_image(self, file: Path) -> bool:
        content = file.read_bytes()
        try:
            self.decode(content)
        except MemoryError:
            raise
        # Pillow's parsers raise exceptions of many types: OSError, SyntaxError, ValueError, struct.error, and others.
        except Exception:
            return False
        return True

    def transform(self, files: npt.NDArray[Any]) -> Pixels:
        """The model's input for the files, uint8 of shape (files, height, width, channels)."""
        pixels = np.empty((len(files), self.height, self.width, self.channels), np.uint8)
        self.decode_all([file.read_bytes for file in files], pixels)
        return pixels

    def decode_all(self, readers: Sequence[Any], into: Pixels, threads: int | None = None) -> None:
        """Decode what each of `readers` returns into a row of `into`, in several threads."""

        def decode(place: int) -> None:
            into[place] = self.decode(readers[place]())

        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(decode, range(len(readers))):
                pass

    def names(self, files: npt.NDArray[Any]) -> dict[str, list[str]]:
        """The columns that identify the file of each prediction."""
        return {"file": [str(file) for file in files]}

    def to_json(self) -> bytes:
        """The content of `schema.json`."""
        return json.dumps({"kind": "images", **asdict(self)}).encode() + b"\n"


def load(folder: Path) -> Preparation:
    """The preparation whose files are in `folder`."""
    facts = json.loads((folder / "schema.json").read_bytes())
    return Preparation(facts["height"], facts["width"], facts["channels"], facts["resize"])


def _to_eight_bits(image: Any) -> Any:
    """Convert a 16-bit grey image to its upper 8 bits. Pillow itself would make every bright pixel white."""
    return image.convert("I").point(lambda value: value / 256).convert("L")


def _over_black(image: Any) -> Any:
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
