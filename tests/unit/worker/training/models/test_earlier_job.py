"""A model that starts from an earlier job's: its head, which of its layers are trained, and its preprocessing."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest

from shared.earlier_model import EarlierModel
from shared.events import job_events
from shared.job import JobRecord
from shared.job_folder import AttemptFolder, JobFolder
from shared.keras_head import Head
from shared.open_job import OpenJob
from shared.settings import Settings
from shared.volume import Volume
from tests.support.earlier import keras_bytes, put_earlier_job, small_cnn
from tests.support.jobs import claim, learnable_frame, put_dataset, put_job, small_spec
from tests.support.kinds import digit_images, put_images
from worker.training.data.load import load_data
from worker.training.data.rows import Data
from worker.training.errors import BadData, DataChanged, DataMissing
from worker.training.models.build import build_model
from worker.training.models.earlier_job import find_earlier_model, layers_before
from worker.training.run import run
from worker.training.stop_requests import StopRequests

DIGITS: dict[str, Any] = {
    "dataset": {"kind": "images", "id": "digits"},
    "model": {"kind": "cnn", "filters": [6], "dense": []},
    "hyperparameters": {"epochs": 1},
}


@pytest.fixture(scope="module")
def model_bytes() -> bytes:
    return keras_bytes(small_cnn())


@pytest.fixture
def digits(volume: Volume, model_bytes: bytes) -> JobFolder:
    """A finished job on ten classes, and a dataset of two of them."""
    put_images(volume, digit_images(60))
    put_images(volume, digit_images(60, 2), "two-digits")
    return put_earlier_job(volume, DIGITS, model_bytes)


@pytest.fixture(autouse=True)
def float32_again() -> Iterator[None]:
    yield
    keras.config.set_dtype_policy("float32")


def tuned(earlier: JobFolder, dataset: str = "two-digits", **model: Any) -> dict[str, Any]:
    return {
        **DIGITS,
        "dataset": {"kind": "images", "id": dataset},
        "model": {"kind": "job", "job": earlier.id, **model},
    }


def prepared(volume: Volume, spec: dict[str, Any]) -> tuple[AttemptFolder, JobRecord, Data, EarlierModel]:
    attempt = claim(put_job(volume, spec))
    record = attempt.job.record()
    assert record is not None
    earlier = find_earlier_model(attempt.job, record)
    assert earlier is not None
    data = load_data(attempt, record, Settings(cache=volume.root.parent / "cache"), earlier=earlier)
    return attempt, record, data, earlier


def built(volume: Volume, spec: dict[str, Any]) -> keras.Model:
    _, record, data, earlier = prepared(volume, spec)
    model = build_model(record, data, earlier)
    model(data.train.first_row[0])
    return model


def weights(model: keras.Model) -> list[Any]:
    return [one.numpy() for one in model.weights]


def test_the_same_classes_keep_the_head_and_every_weight(volume: Volume, digits: JobFolder) -> None:
    model = built(volume, tuned(digits, "digits"))
    for ours, theirs in zip(weights(model), weights(small_cnn()), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert [layer.name for layer in model.layers if layer.name.startswith("head")] == []


def test_other_classes_get_a_new_head_by_the_seed_on_the_same_weights(volume: Volume, digits: JobFolder) -> None:
    model, again = (built(volume, tuned(digits)) for _ in range(2))
    assert (model.layers[-1].name, model.output_shape) == ("head", (None, 1))
    assert model.layers[-1].activation.__name__ == "sigmoid"
    for ours, theirs in zip(weights(model)[:-2], weights(small_cnn())[:-2], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(weights(model)[-2], weights(again)[-2])
    other = built(volume, {**tuned(digits), "hyperparameters": {"epochs": 1, "seed": 7}})
    assert not np.array_equal(weights(model)[-2], weights(other)[-2])


@pytest.mark.parametrize(
    ("trainable", "trained"),
    [
        ("all", ["Conv2D", "BatchNormalization", "Conv2D", "Dense"]),
        ("head", ["Dense"]),
        # The pooling and the dropout before the head have no weights, and are not counted. The pooling in between is.
        (1, ["Conv2D", "Dense"]),
        (2, ["Conv2D", "Dense"]),
        (3, ["BatchNormalization", "Conv2D", "Dense"]),
        (900, ["Conv2D", "BatchNormalization", "Conv2D", "Dense"]),
    ],
)
def test_the_last_layers_before_the_head_are_trained(
    volume: Volume, digits: JobFolder, trainable: Any, trained: list[str]
) -> None:
    model = built(volume, tuned(digits, trainable=trainable))
    assert [type(layer).__name__ for layer in model.layers if layer.trainable_weights] == trained


def test_the_last_layers_of_a_network_in_the_model_are_those_that_an_application_counts() -> None:
    network = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(32, 32, 3))
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.GlobalAveragePooling2D()(network(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2, name="out")(keras.layers.Dropout(0.2)(x)))
    before = layers_before(model, Head("out", 2))
    assert [one.name for one in before[-3:]] == [one.name for one in network.layers[-3:]]


def test_a_frozen_layer_is_trained_again_by_a_job_that_trains_all(volume: Volume, digits: JobFolder) -> None:
    frozen = small_cnn()
    frozen.layers[1].trainable = False
    earlier = put_earlier_job(volume, DIGITS, keras_bytes(frozen))
    assert [layer.name for layer in built(volume, tuned(earlier)).layers if not layer.trainable] == []


def test_the_precision_is_that_of_the_new_job_but_for_the_head(volume: Volume, digits: JobFolder) -> None:
    for dataset in ("digits", "two-digits"):
        spec = {**tuned(digits, dataset), "hyperparameters": {"epochs": 1, "precision": "mixed_bfloat16"}}
        found = [layer.compute_dtype for layer in built(volume, spec).layers if layer.weights]
        assert found == ["bfloat16", "bfloat16", "bfloat16", "float32"]


def test_the_model_outlives_the_earlier_job_and_any_change_of_its_copy_is_noticed(
    volume: Volume, digits: JobFolder
) -> None:
    job = put_job(volume, tuned(digits))
    assert volume.remove_job(OpenJob(5, digits.id))
    attempt = claim(job)
    conclusion = run(attempt, StopRequests(attempt, 60), Settings(cache=volume.root.parent / "cache"))
    assert conclusion.ending is not None
    assert conclusion.ending.status == "succeeded", conclusion.ending.error
    (said,) = [one.event for one in job_events(job) if one.event.type == "model"]
    assert said.message.startswith(f"the model of {digits.id} with a new head, ")
    assert (said.data["kind"], said.data["new_head"]) == ("job", True)
    record = job.record()
    assert record is not None
    (kept,) = (job.path / "earlier").glob("*.keras")
    kept.unlink()
    with pytest.raises(DataMissing):
        find_earlier_model(job, record)
    kept.write_bytes(b"something else")
    with pytest.raises(DataChanged):
        find_earlier_model(job, record)


def test_a_fine_tuned_model_is_fine_tuned_again_and_its_lineage_names_both(volume: Volume, digits: JobFolder) -> None:
    middle = put_job(volume, tuned(digits))
    attempt = claim(middle)
    assert run(attempt, StopRequests(attempt, 60), Settings(cache=volume.root.parent / "cache")).ending
    last = put_job(volume, tuned(middle, "digits"))
    record = last.record()
    assert record is not None
    assert [one.job for one in record.lineage] == [middle.id, digits.id]
    model = built(volume, tuned(middle, "digits"))
    assert (model.layers[-1].name, model.output_shape) == ("head", (None, 10))


def test_an_architecture_that_is_not_allowed_is_not_built(volume: Volume, digits: JobFolder) -> None:
    job = put_job(volume, tuned(digits))
    record = job.record()
    assert record is not None
    (kept,) = (job.path / "earlier").glob("*.keras")
    mine = keras.Sequential([keras.Input((16, 16, 1)), keras.layers.Lambda(lambda x: x), keras.layers.Dense(2)])
    content = keras_bytes(mine)
    kept.unlink()
    renamed = record.lineage[0].model_copy(update={"sha256": hashlib.sha256(content).hexdigest()})
    (kept.parent / f"{renamed.sha256}.keras").write_bytes(content)
    with pytest.raises(BadData, match=r"keras\.layers\.Lambda"):
        find_earlier_model(job, record.model_copy(update={"lineage": (renamed,)}))


# Tables


def trained_table(volume: Volume, **dataset: Any) -> JobFolder:
    """Train a job on a table and return it, with its fitted preprocessing."""
    put_dataset(volume, learnable_frame(120))
    job = put_job(volume, small_spec(dataset={"target": "grade", **dataset}, hyperparameters={"epochs": 1}))
    attempt = claim(job)
    conclusion = run(attempt, StopRequests(attempt, 60))
    assert conclusion.ending is not None
    assert conclusion.ending.status == "succeeded", conclusion.ending.error
    return job


@pytest.mark.filterwarnings("ignore:Found unknown categories")
def test_a_table_is_prepared_as_for_the_earlier_model(volume: Volume) -> None:
    earlier = trained_table(volume, scaling="robust")
    frame = learnable_frame(80, seed=5).rename(columns={"grade": "other"})
    # Another order, another range, a category that was never seen, and a column that was not trained on.
    frame["c"] = frame["c"] * 1000
    frame.loc[0, "kind"] = "rose"
    frame["more"] = np.arange(80)
    frame["other"] = (frame["other"] > 3).astype(int)
    put_dataset(volume, frame[["more", "c", "other", "b", "a", "kind"]], "others")
    spec = small_spec(
        dataset={"id": "others", "target": "other", "positive": None},
        model={"kind": "job", "job": earlier.id, "layers": None},
        hyperparameters={"epochs": 1},
    )
    del spec["model"]["layers"]
    attempt, record, data, model = prepared(volume, spec)
    assert record.data_spec.dataset.scaling == "robust"  # type: ignore[union-attr]
    assert record.data_spec.dataset.drop_columns == ("more",)  # type: ignore[union-attr]
    assert any('not trained on "more"' in one for one in record.warnings)
    for name in ("schema.json", "preprocessing.skops"):
        assert (attempt.path / name).exists()
    assert (attempt.path / "schema.json").read_bytes() == (earlier.attempts()[-1].path / "schema.json").read_bytes()
    assert data.train.x.shape[1] == record.data_task.features == 4
    assert np.abs(data.train.x).max() > 100, "scaled as the earlier rows were, not as these"
    assert build_model(record, data, model).output_shape == (None, 1)


def test_columns_are_judged_again_before_they_are_read(volume: Volume) -> None:
    earlier = trained_table(volume)
    frame = learnable_frame(80, seed=5)
    put_dataset(volume, frame, "others")
    spec = small_spec(dataset={"id": "others", "target": "grade"}, hyperparameters={"epochs": 1})
    attempt = claim(put_job(volume, {**spec, "model": {"kind": "job", "job": earlier.id}}))
    record = attempt.job.record()
    assert record is not None
    profile = json.loads((volume.datasets / "others" / "dataset.json").read_text())
    profile["columns"] = [one for one in profile["columns"] if one["name"] != "a"]
    (volume.datasets / "others" / "dataset.json").write_text(json.dumps(profile))
    with pytest.raises(BadData, match='column "a", which the data does not have'):
        load_data(attempt, record, earlier=find_earlier_model(attempt.job, record))
