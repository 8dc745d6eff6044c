"""Random changes of training images, inside the compiled step.

Each epoch has a table of changes: row i belongs to image i of the training part. So an image is changed in the same way
in any batch, with either engine, and after every resume. numpy computes the table and the step only applies it, because
TensorFlow rounds the same arithmetic differently in different programs. Mixup, which mixes two images of any batches,
comes before the other changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from shared.spec import AugmentSpec

Table = npt.NDArray[np.float32]
Partners = npt.NDArray[np.int32]

# Flips (0 or 1), contrast factor, brightness offset, borders of the cutout, the image's own share in mixup. They are
# followed by what ImageProjectiveTransformV3 takes: input x = (a0 x + a1 y + a2) / (c0 x + c1 y + 1).
_COLUMNS = ("flip_x", "flip_y", "contrast", "brightness", "top", "bottom", "left", "right", "share")
_TRANSFORM = 8
WIDTH = len(_COLUMNS) + _TRANSFORM
_DRAWS = 10
_BRIGHTEST = 255.0
# The order of the rows is drawn with the same key, from another part of the generator's sequence.
_COUNTER = (0, 0, 0, 1)


@dataclass(frozen=True)
class Changes:
    """The augmentation of each row in an epoch.

    `numbers`: the row's line of the table, float32 of shape (rows, WIDTH). `partners`: the row that mixup mixes into
    each, int32 of shape (rows, 1). Either has no columns if there is nothing to change.
    """

    numbers: Table
    partners: Partners

    def of(self, rows: npt.NDArray[Any]) -> "Changes":
        """The changes of some rows, in their order."""
        return Changes(self.numbers[rows], self.partners[rows])


def unchanged(rows: int) -> Changes:
    """Changes that leave all rows as they are."""
    return Changes(np.empty((rows, 0), np.float32), np.empty((rows, 0), np.int32))


def draw(seed: int, epoch: int, rows: int, size: tuple[int, int], spec: AugmentSpec) -> Changes:
    """The changes of each image in an epoch (from 0), by numpy's Philox generator: WIDTH numbers, at most one partner.

    `size` is height and width in pixels. In mixup each image is the partner of one image.
    """
    generator = np.random.Generator(np.random.Philox(key=[seed, epoch], counter=_COUNTER))
    drawn = generator.random((_DRAWS, rows))
    flip_x, flip_y, cut_y, cut_x = drawn[:4]
    contrast, brightness = 2 * drawn[4:6] - 1
    (height, width), half = size, spec.cutout / 2
    flips = flip_x < 0.5, flip_y < 0.5
    columns = [
        *flips,
        1 + spec.contrast * contrast,
        _BRIGHTEST * spec.brightness * brightness,
        np.round((cut_y - half) * height),
        np.round((cut_y + half) * height),
        np.round((cut_x - half) * width),
        np.round((cut_x + half) * width),
        generator.beta(spec.mixup, spec.mixup, rows) if spec.mixup else np.ones(rows),
        *_transforms(2 * drawn[6:] - 1, flips, size, spec),
    ]
    partners = generator.permutation(rows).astype("i4") if spec.mixup else np.empty((0, rows), "i4")
    return Changes(np.stack(columns, axis=1, dtype=np.float32, casting="same_kind"), partners.reshape(-1, rows).T)


def _transforms(
    drawn: npt.NDArray[np.float64],
    flips: tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]],
    size: tuple[int, int],
    spec: AugmentSpec,
) -> list[npt.NDArray[np.float64]]:
    """The columns of the transform: flips, then rotation and zoom about the centre, then the shift.

    `drawn`: rotation, zoom, vertical and horizontal shift of each image, from -1 to 1.
    """
    (height, width), (turn, zoom, shift_y, shift_x) = size, drawn
    angle, scale = turn * np.radians(spec.rotation), 1 / (1 + spec.zoom * zoom)
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    to_x, to_y = centre_x + shift_x * spec.shift * width, centre_y + shift_y * spec.shift * height
    way_x, way_y = 1 - 2 * (flips[0] & spec.flip_horizontal), 1 - 2 * (flips[1] & spec.flip_vertical)
    nothing = np.zeros_like(angle)
    return [
        way_x * cosine, -way_x * sine, centre_x - way_x * (cosine * to_x - sine * to_y),
        way_y * sine, way_y * cosine, centre_y - way_y * (sine * to_x + cosine * to_y),
        nothing, nothing,
    ]  # fmt: skip


def mix(rows: Sequence[tf.Tensor], partners: Sequence[tf.Tensor], table: tf.Tensor) -> list[tf.Tensor]:
    """Each array of `rows` with its share of the same array of `partners` mixed in, float32, of the same shape.

    Images, targets and weights are mixed in the same way. `table`: the rows' numbers from `draw`.
    """
    share = table[:, _COLUMNS.index("share")]
    return [_mix(*pair, share) for pair in zip(rows, partners, strict=True)]


def _mix(row: tf.Tensor, partner: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    own = tf.reshape(share, (-1, *(1 for _ in row.shape[1:])))
    return own * tf.cast(row, tf.float32) + (1 - own) * tf.cast(partner, tf.float32)


def augment(images: tf.Tensor, table: tf.Tensor, spec: AugmentSpec) -> tf.Tensor:
    """The changed images, float32 of the shape of `images`: (batch, height, width, channels), pixels from 0 to 255.

    `table`: the images' numbers from `draw`, of shape (batch, WIDTH).
    """
    numbers = tf.unstack(table[:, : len(_COLUMNS)], num=len(_COLUMNS), axis=1)
    one = {name: tf.reshape(values, (-1, 1, 1, 1)) for name, values in zip(_COLUMNS, numbers, strict=True)}
    changed = tf.cast(images, tf.float32)
    if spec.is_geometric:
        changed = _transform(changed, table[:, len(_COLUMNS) :])
    elif spec.flip_horizontal or spec.flip_vertical:
        changed = _flip(changed, one, spec)
    if spec.contrast:
        mean = tf.reduce_mean(changed, axis=[1, 2], keepdims=True)
        changed = one["contrast"] * changed + ((1 - one["contrast"]) * mean + one["brightness"])
    elif spec.brightness:
        changed += one["brightness"]
    if spec.contrast or spec.brightness:
        changed = tf.clip_by_value(changed, 0, _BRIGHTEST)
    return _cut(changed, one) if spec.cutout else changed


def _flip(images: tf.Tensor, one: dict[str, tf.Tensor], spec: AugmentSpec) -> tf.Tensor:
    if spec.flip_horizontal:
        images = tf.where(one["flip_x"] > 0, tf.reverse(images, [2]), images)
    if spec.flip_vertical:
        images = tf.where(one["flip_y"] > 0, tf.reverse(images, [1]), images)
    return images


def _transform(images: tf.Tensor, transforms: tf.Tensor) -> tf.Tensor:
    """Compute each output pixel by bilinear interpolation of the input; outside it, of the mirrored image."""
    result: tf.Tensor = tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=transforms,
        output_shape=images.shape[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )
    return result


def _cut(images: tf.Tensor, one: dict[str, tf.Tensor]) -> tf.Tensor:
    """The images with the square set to 0."""
    height, width = images.shape[1:3]
    rows = tf.reshape(tf.range(height, dtype=tf.float32), (1, -1, 1, 1))
    columns = tf.reshape(tf.range(width, dtype=tf.float32), (1, 1, -1, 1))
    is_between = tf.logical_and(rows >= one["top"], rows < one["bottom"])
    is_beside = tf.logical_and(columns >= one["left"], columns < one["right"])
    return tf.where(tf.logical_and(is_between, is_beside), 0.0, images)
