"""Augmentation: one table for each epoch says what is done to each image, whatever batch it is in."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.spec import AugmentSpec
from shared.validation import validate
from tests.support.kinds import AUGMENT
from worker.training.data.augment import WIDTH, augment, draw
from worker.training.data.rows import Part
from worker.training.order import permutation

IMAGES = np.random.default_rng(3).integers(0, 256, (40, 12, 10, 3), np.uint8)
ALL = AugmentSpec(**AUGMENT)
SIZE = (12, 10)


def changed(spec: AugmentSpec, images: Any = IMAGES, table: Any = None, *, seed: int = 1, epoch: int = 0) -> Any:
    table = draw(seed, epoch, len(images), images.shape[1:3], spec).numbers if table is None else table
    return augment(tf.constant(images), tf.constant(table), spec).numpy()


@settings(max_examples=20)
@given(rows=st.integers(1, 300), epoch=st.integers(0, 10**6), seed=st.integers(0, 2**32 - 1))
def test_the_table_follows_from_seed_and_epoch_alone(rows: int, epoch: int, seed: int) -> None:
    table = draw(seed, epoch, rows, SIZE, ALL).numbers
    assert table.shape == (rows, WIDTH)
    assert table.dtype == np.float32
    assert np.isfinite(table).all()
    assert np.array_equal(table, draw(seed, epoch, rows, SIZE, ALL).numbers)
    assert not np.array_equal(table, draw(seed, epoch + 1, rows, SIZE, ALL).numbers)
    assert not np.array_equal(table, draw(seed ^ 1, epoch, rows, SIZE, ALL).numbers)


def test_what_is_done_to_an_image_tells_nothing_of_the_order_of_the_rows() -> None:
    """Both come from Philox with the same key, at places far apart."""
    flips = np.random.Generator(np.random.Philox(key=[1, 0], counter=(0, 0, 0, 1))).random(1000)
    others = np.random.Generator(np.random.Philox(key=[1, 0])).random(1000)
    assert len(np.intersect1d(flips, others)) == 0
    assert len(permutation(1, 0, 1000)) == 1000


@settings(max_examples=20)
@given(
    cuts=st.lists(st.integers(1, 39), max_size=6, unique=True),
    flags=st.fixed_dictionaries({name: st.just(0) | st.just(value) for name, value in AUGMENT.items()}),
)
def test_an_image_is_changed_in_the_same_way_whatever_batch_it_is_in(cuts: list[int], flags: dict[str, Any]) -> None:
    if not any(flags.values()):
        return
    spec = AugmentSpec(**{name: bool(value) if name.startswith("flip") else value for name, value in flags.items()})
    table = draw(1, 2, 40, SIZE, spec).numbers
    whole = changed(spec, table=table)
    bounds = [0, *sorted(cuts), 40]
    parts = [changed(spec, IMAGES[a:b], table[a:b]) for a, b in pairwise(bounds)]
    assert np.array_equal(np.concatenate(parts), whole)


def test_the_eager_and_the_compiled_step_change_it_in_the_same_way() -> None:
    table = draw(1, 0, 40, SIZE, ALL).numbers
    compiled = tf.function(lambda images, numbers: augment(images, numbers, ALL), autograph=False)
    np.testing.assert_allclose(compiled(tf.constant(IMAGES), tf.constant(table)), changed(ALL, table=table), atol=1e-3)


@pytest.mark.parametrize(("field", "axis"), [("flip_horizontal", 2), ("flip_vertical", 1)])
def test_about_half_of_the_images_are_mirrored_and_the_others_are_left(field: str, axis: int) -> None:
    images = np.repeat(IMAGES, 20, axis=0)
    result = changed(AugmentSpec(**{field: True}), images)
    is_same = (result == images).all(axis=(1, 2, 3))
    is_mirrored = (result == np.flip(images, axis)).all(axis=(1, 2, 3))
    assert (is_same | is_mirrored).all()
    assert 0.4 < is_mirrored.mean() < 0.6


def test_brightness_and_contrast_stay_within_a_pixels_range() -> None:
    for spec in (AugmentSpec(brightness=1), AugmentSpec(contrast=0.9), AugmentSpec(brightness=0.5, contrast=0.5)):
        result = changed(spec)
        assert result.min() >= 0
        assert result.max() <= 255
        assert (result != IMAGES).any(axis=(1, 2, 3)).mean() > 0.9


def test_brightness_is_the_same_for_all_pixels_of_an_image_and_within_its_limit() -> None:
    grey = np.full((200, 8, 8, 1), 128, np.uint8)
    shifts = changed(AugmentSpec(brightness=0.2), grey) - 128
    assert np.ptp(shifts.reshape(200, -1), axis=1).max() < 1e-4
    assert 45 < np.abs(shifts).max() <= 0.2 * 255 + 1e-3


def test_the_square_that_is_cut_out_has_its_size_and_is_black() -> None:
    white = np.full((300, 20, 30, 1), 255, np.uint8)
    missing = (changed(AugmentSpec(cutout=0.5), white) == 0).sum(axis=(1, 2, 3))
    assert missing.max() <= 10 * 15 + 26, "and a row or a column by rounding"
    assert missing.max() >= 10 * 15
    assert missing.min() < missing.max(), "at the border a part of it lies outside"


def test_a_shift_moves_by_no_more_than_its_fraction() -> None:
    dot = np.zeros((400, 20, 20, 1), np.uint8)
    dot[:, 10, 10] = 255
    result = changed(AugmentSpec(shift=0.2), dot)[..., 0]
    rows, columns = np.indices((20, 20))
    centres = [(result * axis).sum(axis=(1, 2)) / result.sum(axis=(1, 2)) for axis in (rows, columns)]
    for centre in centres:
        assert np.abs(centre - 10).max() <= 4 + 1e-3
        assert np.abs(centre - 10).max() > 3
    assert np.corrcoef(*centres)[0, 1] < 0.2, "in both directions independently"


def test_a_turn_of_180_degrees_at_most_keeps_the_centre() -> None:
    images = np.zeros((100, 21, 21, 1), np.uint8)
    images[:, 10, 10] = 200
    np.testing.assert_allclose(changed(AugmentSpec(rotation=180), images)[:, 10, 10], 200, atol=0.1)


def test_a_rotation_turns_about_the_centre_by_no_more_than_its_degrees() -> None:
    dot = np.zeros((300, 31, 31, 1), np.uint8)
    dot[:, 15, 20] = 255
    result = changed(AugmentSpec(rotation=90), dot)[..., 0]
    rows, columns = np.indices((31, 31)) - 15
    y, x = ((result * axis).sum(axis=(1, 2)) / result.sum(axis=(1, 2)) for axis in (rows, columns))
    np.testing.assert_allclose(np.hypot(x, y), 5, atol=0.2)
    angles = np.degrees(np.arctan2(y, x))
    assert 85 < angles.max() < 91
    assert -91 < angles.min() < -85


@pytest.mark.parametrize(("field", "axis"), [("flip_horizontal", 2), ("flip_vertical", 1)])
def test_an_image_is_mirrored_before_it_is_shifted_turned_and_zoomed(field: str, axis: int) -> None:
    geometry = {"shift": 0.2, "rotation": 30.0, "zoom": 0.2}
    is_mirrored = draw(1, 0, 40, SIZE, ALL).numbers[:, 2 - axis] > 0
    mirrored = np.where(is_mirrored.reshape(-1, 1, 1, 1), np.flip(IMAGES, axis), IMAGES)
    both, alone = AugmentSpec(**{field: True}, **geometry), AugmentSpec(**geometry)
    np.testing.assert_allclose(changed(both), changed(alone, mirrored), atol=1e-2)


def test_contrast_is_about_the_mean_of_an_image_before_brightness_is_added() -> None:
    grey = np.random.default_rng(4).integers(100, 156, (60, 8, 8, 1), np.uint8)
    spec = AugmentSpec(contrast=0.5, brightness=0.1)
    factor, offset = draw(1, 0, 60, (8, 8), spec).numbers[:, 2:4].T.reshape(2, -1, 1, 1, 1)
    mean = grey.mean(axis=(1, 2, 3), keepdims=True)
    np.testing.assert_allclose(changed(spec, grey), mean + (grey - mean) * factor + offset, atol=1e-3)


def test_zoom_in_shows_less_and_zoom_out_more() -> None:
    white = np.zeros((200, 20, 20, 1), np.uint8)
    white[:, 5:15, 5:15] = 255
    areas = changed(AugmentSpec(zoom=0.3), white).sum(axis=(1, 2, 3)) / white[0].sum()
    assert 0.4 < areas.min() < 0.6
    assert 1.5 < areas.max() < 1.8


def test_an_augmentation_that_changes_nothing_is_refused() -> None:
    with pytest.raises(Exception, match="changes nothing"):
        validate(AugmentSpec, {})
    with pytest.raises(ValidationError, match="shift"):
        AugmentSpec(shift=0.6)


def test_a_part_without_augmentation_draws_no_numbers_and_leaves_its_batches() -> None:
    part = Part({"image": IMAGES}, np.zeros((40, 1), np.float32))
    assert part.draw(1, 5).numbers.shape == part.draw(1, 5).partners.shape == (40, 0)
    images, targets = part.batch(part.take(slice(0, 4)))
    assert np.array_equal(images, IMAGES[:4])
    assert targets.shape == (4, 1)


def test_a_first_row_is_as_a_step_takes_it() -> None:
    part = Part({"image": IMAGES}, np.zeros((40, 1), np.float32), np.ones(40, np.float32), augment=ALL)
    images, targets, weights = part.first_row
    assert (images.shape, targets.shape, weights.shape) == ((1, 12, 10, 3), (1, 1), (1,))
    two = Part({"a": IMAGES, "b": IMAGES[..., 0]}, np.zeros((40, 1), np.float32))
    inputs, _ = two.first_row
    assert list(inputs) == ["a", "b"]


MIXUP = AugmentSpec(mixup=0.4)


def mixed_part(rows: int = 40) -> Part:
    seed = np.random.default_rng(5)
    targets = np.eye(3, dtype=np.float32)[seed.integers(0, 3, rows)]
    weights = seed.random(rows).astype(np.float32)
    return Part({"image": seed.integers(0, 256, (rows, 4, 4, 1), np.uint8)}, targets, weights, augment=MIXUP)


def test_mixup_mixes_images_targets_and_weights_with_the_same_share() -> None:
    part = mixed_part()
    changes = part.draw(1, 3)
    share, partners = changes.numbers[:, WIDTH - 8 - 1], changes.partners[:, 0]
    rows = np.array([7, 0, 31])
    for result, array in zip(part.batch(part.take_changed(rows, changes)), part.arrays, strict=True):
        own = share[rows].reshape(-1, *(1 for _ in array.shape[1:])).astype(np.float64)
        np.testing.assert_allclose(result, own * array[rows] + (1 - own) * array[partners[rows]], rtol=1e-5, atol=1e-4)


def test_each_image_is_mixed_into_one_other_in_each_epoch_and_shares_follow_beta() -> None:
    spec = AugmentSpec(mixup=0.2)
    first, second = (draw(1, epoch, 5000, SIZE, spec) for epoch in (0, 1))
    assert np.array_equal(np.sort(first.partners[:, 0]), np.arange(5000))
    assert not np.array_equal(first.partners, second.partners)
    shares = first.numbers[:, WIDTH - 8 - 1]
    assert shares.mean() == pytest.approx(0.5, abs=0.03)
    assert shares.var() == pytest.approx(0.25 / 1.4, rel=0.05), "the variance of Beta(0.2, 0.2)"


def test_mixup_leaves_the_other_numbers_of_the_table_as_they_were() -> None:
    own = WIDTH - 8 - 1
    with_mixup = draw(1, 2, 40, SIZE, AugmentSpec(**AUGMENT, mixup=0.3)).numbers
    assert np.array_equal(np.delete(with_mixup, own, 1), np.delete(draw(1, 2, 40, SIZE, ALL).numbers, own, 1))


@pytest.mark.parametrize("cuts", [[1], [3, 20], [13, 14, 39]])
def test_an_image_is_mixed_in_the_same_way_whatever_batch_it_is_in(cuts: list[int]) -> None:
    part = mixed_part()
    changes, order = part.draw(1, 0), permutation(1, 0, 40)
    whole = part.batch(part.take_changed(order, changes))
    parts = [part.batch(part.take_changed(order[a:b], changes)) for a, b in pairwise([0, *cuts, 40])]
    for index, array in enumerate(whole):
        assert np.array_equal(np.concatenate([one[index] for one in parts]), array)
