"""From the bytes of an image to the pixels that a model reads."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from worker.training.prepare_images import Preparation


def encoded(pixels: Any, kind: str = "PNG") -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, kind)
    return content.getvalue()


@pytest.mark.parametrize("channels", [1, 3])
def test_of_sixteen_bits_the_upper_eight_are_read(channels: int) -> None:
    pixels = np.array([[0, 256, 30_000, 65_535]], np.uint16)
    decoded = Preparation(1, 4, channels, "stretch").decode(encoded(pixels))
    assert decoded[0, :, -1].tolist() == [0, 1, 117, 255]
