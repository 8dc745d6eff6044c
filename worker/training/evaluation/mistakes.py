"""The worst predictions: their row numbers in the dataset, and thumbnails."""

import io
from base64 import b64encode
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from worker.training.data.rows import Part

MOST_MISTAKES = 24
_SIDE = 96


def dataset_rows(part: Part, rows: npt.NDArray[np.int64]) -> list[int]:
    """The row numbers in the dataset (from 0) of these rows of the part."""
    numbers = part.numbers_of(rows) if part.dataset_rows is None else part.dataset_rows[rows]
    return [int(number) for number in numbers]


def thumbnails(part: Part, rows: npt.NDArray[np.int64]) -> list[str | None]:
    """A thumbnail of each row as a data URI; None unless the only input is images."""
    inputs = list(part.inputs.values())
    is_images = (
        len(inputs) == 1 and inputs[0].dtype == np.uint8 and inputs[0].ndim == 4 and inputs[0].shape[3] in {1, 3}
    )
    return [_thumbnail(inputs[0][number]) if is_images else None for number in part.numbers_of(rows)]


def _thumbnail(pixels: npt.NDArray[Any]) -> str:
    image = Image.fromarray(np.ascontiguousarray(pixels.squeeze(axis=2) if pixels.shape[2] == 1 else pixels))
    image.thumbnail((_SIDE, _SIDE))
    content = io.BytesIO()
    image.save(content, "PNG")
    return f"data:image/png;base64,{b64encode(content.getvalue()).decode()}"
