"""Images as rows: their classes, their two parts, and what is augmented."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.settings import Settings
from shared.volume import Volume
from tests.support.jobs import claim, put_job
from tests.support.kinds import AUGMENT, Split, digit_images, put_images
from worker.training.data.load import load_data
from worker.training.data.rows import Data
from worker.training.errors import DataChanged, DataMissing


@pytest.fixture
def cache(tmp_path: Path) -> Settings:
    return Settings(cache=tmp_path / "cache")


def loaded(volume: Volume, cache: Settings, hyperparameters: dict[str, Any] | None = None, **dataset: Any) -> Data:
    spec = {"dataset": {"kind": "images", "id": "digits", **dataset}, "model": {"kind": "cnn", "filters": [2]}}
    job = put_job(volume, {**spec, "hyperparameters": hyperparameters or {}})
    record = job.record()
    assert record is not None
    return load_data(claim(job), record, cache)


def labels(part: Any) -> list[int]:
    return [int(one) for one in part.take(slice(None))[1].ravel()]


def test_the_split_is_stratified_and_by_its_seed(volume: Volume, cache: Settings) -> None:
    put_images(volume, digit_images(200))
    data = loaded(volume, cache)
    assert data.classes == tuple("0123456789")
    assert (len(data.train), len(data.validation)) == (160, 40)
    assert np.bincount(labels(data.validation)).tolist() == [4] * 10
    again, other = loaded(volume, cache), loaded(volume, cache, split_seed=1)
    assert data.train.selected is not None
    assert np.array_equal(data.train.selected, again.train.selected)
    assert not np.array_equal(data.train.selected, other.train.selected)
    assert data.validation.selected is not None
    assert sorted([*data.train.selected, *data.validation.selected]) == list(range(200))


def test_the_archives_own_validation_part_is_kept_and_its_test_part_is_not_trained_on(
    volume: Volume, cache: Settings
) -> None:
    parts: list[Split] = ["validation", "train", "", "test"]
    put_images(volume, digit_images(120), splits=lambda _, number: parts[number % 4])
    data = loaded(volume, cache)
    profile = volume.dataset("digits")
    assert profile is not None
    assert profile.images is not None
    counts = [(one.validation, one.train + one.unsplit) for one in profile.images.classes]
    assert np.bincount(labels(data.validation)).tolist() == [held for held, _ in counts]
    assert np.bincount(labels(data.train)).tolist() == [held for _, held in counts]
    assert data.test is not None
    assert np.bincount(labels(data.test)).tolist() == [one.test for one in profile.images.classes]


def test_a_test_part_is_in_no_other_part(volume: Volume, cache: Settings) -> None:
    put_images(volume, digit_images(200))
    data = loaded(volume, cache, test_fraction=0.25, augment=AUGMENT)
    assert data.test is not None
    assert (len(data.train), len(data.validation), len(data.test)) == (120, 30, 50)
    assert data.test.augment is None
    rows = [part.selected for part in (data.train, data.validation, data.test)]
    assert sorted(np.concatenate([one for one in rows if one is not None])) == list(range(200))


def test_two_classes_have_one_number_and_more_have_class_numbers(volume: Volume, cache: Settings) -> None:
    put_images(volume, digit_images(100, classes=2))
    data = loaded(volume, cache)
    assert data.train.targets.dtype == np.float32
    put_images(volume, digit_images(100), "more")
    assert loaded(volume, cache, id="more").train.targets.dtype == np.int32


def test_a_wish_for_one_hot_targets_and_balanced_classes_is_met(volume: Volume, cache: Settings) -> None:
    images = digit_images(100)
    put_images(volume, {**images, "0": images["0"][:3]})
    data = loaded(
        volume,
        cache,
        {"loss": {"name": "categorical_crossentropy", "label_smoothing": 0.1}, "class_weight": "balanced"},
    )
    _, targets, weights = data.train.take(slice(None))
    assert targets.shape == (len(data.train), 10)
    assert targets.dtype == np.float32
    assert (targets.sum(axis=1) == 1).all()
    totals = [weights[targets[:, number] == 1].sum() for number in range(10)]
    np.testing.assert_allclose(totals, len(data.train) / 10, rtol=1e-5)
    assert data.validation.weights is None


def test_only_the_training_part_is_augmented(volume: Volume, cache: Settings) -> None:
    put_images(volume, digit_images(100))
    data = loaded(volume, cache, augment={"brightness": 0.5, "shift": 0.2})
    assert data.train.augment is not None
    assert data.validation.augment is None
    images, *_ = data.validation.take(slice(0, 5))
    unchanged, _ = data.validation.batch((images, None))
    assert unchanged is images
    assert data.validation.draw(0, 0).numbers.shape == (20, 0)


def test_both_parts_share_one_mapped_array(volume: Volume, cache: Settings) -> None:
    put_images(volume, digit_images(100))
    data = loaded(volume, cache, size=[8, 12], channels=3)
    assert data.train.x is data.validation.x
    assert isinstance(data.train.x, np.memmap)
    assert data.shapes == {"image": (8, 12, 3)}
    assert data.facts["decoding"]["images"] == 100


def test_images_that_changed_or_are_gone_are_named(volume: Volume, cache: Settings) -> None:
    put_images(volume, digit_images(100))
    file = volume.datasets / "digits" / "data.parquet"
    content = file.read_bytes()
    file.unlink()
    with pytest.raises(DataMissing):
        loaded(volume, cache)
    file.write_bytes(content + b"more")
    with pytest.raises(DataChanged):
        loaded(volume, cache)
