"""From an image file to pixels: resizing, orientation, transparency, and what a bundle reads."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.kinds import png
from worker.training import prepare_images
from worker.training.prepare_images import Preparation

# Ten columns: red on the left, blue on the right, and a green row at the top.
WIDE = np.zeros((4, 10, 3), np.uint8)
WIDE[:, :5, 0] = WIDE[:, 5:, 2] = 200
WIDE[0] = (0, 90, 0)


def decoded(content: bytes, height: int = 4, width: int = 4, channels: int = 3, resize: str = "crop") -> np.ndarray:
    return Preparation(height, width, channels, resize).decode(content)


def test_pixels_of_the_size_that_is_asked_for_are_left_as_they_are() -> None:
    for resize in ("crop", "pad", "stretch"):
        assert np.array_equal(decoded(png(WIDE), 4, 10, resize=resize), WIDE)


def test_crop_takes_the_centre() -> None:
    assert np.array_equal(decoded(png(WIDE)), WIDE[:, 3:7])


def test_pad_shows_all_of_it_over_black() -> None:
    pixels = decoded(png(WIDE[1:]), 10, 10, resize="pad")
    assert not pixels[:3].any()
    assert not pixels[-3:].any()
    assert pixels[4:6, 0, 0].min() == pixels[4:6, -1, 2].min() == 200


def test_stretch_shows_all_of_it() -> None:
    pixels = decoded(png(WIDE[1:]), 3, 4, resize="stretch")
    assert pixels[:, 0].tolist() == [[200, 0, 0]] * 3
    assert pixels[:, -1].tolist() == [[0, 0, 200]] * 3


def test_an_image_is_turned_as_its_exif_orientation_says() -> None:
    upright = np.kron(np.arange(12, dtype=np.uint8).reshape(3, 4) * 20, np.ones((8, 8), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    turned = decoded(png(np.rot90(upright).copy(), exif=exif), 24, 32, 1)
    assert np.array_equal(turned[..., 0], upright)


def test_what_is_transparent_is_black() -> None:
    pixels = np.full((4, 4, 4), 255, np.uint8)
    pixels[:2, :, 3] = 0
    pixels[2, :, 3] = 128
    assert decoded(png(pixels))[:, 0, 0].tolist() == [0, 0, 128, 255]
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([255, 0, 0, 0, 255, 0])
    content = io.BytesIO()
    palette.save(content, "PNG", transparency=1)
    assert not decoded(content.getvalue()).any()


def test_colour_becomes_grey_and_grey_becomes_colour() -> None:
    assert decoded(png(WIDE), 4, 10, 1).shape == (4, 10, 1)
    grey = decoded(png(WIDE[..., 0]), 4, 10)
    assert np.array_equal(grey, np.repeat(WIDE[..., :1], 3, axis=2))


@pytest.mark.parametrize("kind", ["GIF", "BMP", "WEBP", "JPEG", "PNG"])
def test_every_format_that_an_upload_takes_is_decoded(kind: str) -> None:
    pixels = decoded(png(WIDE, kind), 4, 10)
    assert np.abs(pixels[2, [1, -2]].astype(int) - WIDE[2, [1, -2]]).max() < 100


def test_of_an_animation_the_first_frame_is_taken() -> None:
    content, frames = io.BytesIO(), [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    frames[0].save(content, "GIF", save_all=True, append_images=frames[1:])
    red, _, blue = decoded(content.getvalue())[0, 0]
    assert (red > 250, blue < 5) == (True, True)


def test_a_folder_is_read_sorted_and_what_is_no_image_is_marked(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "inner").mkdir()
    for name in ("b.png", "inner/a.PNG", "a.png"):
        (tmp_path / name).write_bytes(png(WIDE))
    (tmp_path / "c.jpg").write_bytes(b"none")
    (tmp_path / "notes.txt").write_text("none")
    preparation = Preparation(4, 4, 3, "crop")
    files = preparation.read(tmp_path)
    assert [one.relative_to(tmp_path).as_posix() for one in files] == ["a.png", "b.png", "c.jpg", "inner/a.PNG"]
    assert preparation.is_complete(files).tolist() == [True, True, False, True]
    assert preparation.transform(files[:2]).shape == (2, 4, 4, 3)
    assert preparation.names(files)["file"][0].endswith("a.png")
    with pytest.raises(ValueError, match="holds no image files"):
        preparation.read(empty)


def test_a_damaged_image_is_marked_and_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    for kind in ("JPEG", "PNG"):
        content = png(noise, kind)
        (tmp_path / f"cut.{kind.lower()}").write_bytes(content[: len(content) // 2])
        (tmp_path / f"whole.{kind.lower()}").write_bytes(content)
    preparation = Preparation(4, 4, 3, "crop")
    files = preparation.read(tmp_path)
    assert preparation.is_complete(files).tolist() == [False, False, True, True]
    with pytest.raises(FileNotFoundError, match="gone"):
        preparation.is_complete(np.array([tmp_path / "gone.png"], object))


def test_an_image_has_no_largest_size() -> None:
    assert decoded(png(np.zeros((14_000, 14_000), np.uint8)), channels=1).shape == (4, 4, 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_of_sixteen_bits_the_upper_eight_are_read(channels: int) -> None:
    pixels = np.array([[0, 256, 30_000, 65_535]], np.uint16)
    assert decoded(png(pixels), 1, 4, channels, "stretch")[0, :, -1].tolist() == [0, 1, 117, 255]


def test_it_is_loaded_as_it_was_left(tmp_path: Path) -> None:
    preparation = Preparation(4, 6, 3, "pad")
    (tmp_path / "schema.json").write_bytes(preparation.to_json())
    assert prepare_images.load(tmp_path) == preparation


def test_the_number_of_threads_changes_no_pixel() -> None:
    contents = [png(np.random.default_rng(seed).integers(0, 255, (40, 30, 3), np.uint8)) for seed in range(20)]
    preparation, results = Preparation(16, 16, 3, "crop"), []
    for threads in (1, 8):
        results.append(np.empty((20, 16, 16, 3), np.uint8))
        preparation.decode_all([lambda one=one: one for one in contents], results[-1], threads)
    assert np.array_equal(*results)
