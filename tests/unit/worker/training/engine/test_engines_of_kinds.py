"""Every kind of data and model on both engines: the same numbers, wherever the data lies."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest

from shared.job import JobRecord
from shared.job_folder import AttemptFolder
from shared.manifest import read_manifest
from shared.settings import Settings
from shared.volume import Volume
from tests.support.jobs import claim, put_job, rows_of
from tests.support.kinds import KINDS, kind_job, put_kinds
from worker.training.data.load import load_data
from worker.training.engine import fused
from worker.training.models.build import build_model, describe_model
from worker.training.run import run
from worker.training.stop_requests import StopRequests

# The application takes ten seconds to compile: `make resume-proof-kinds` trains it on both engines.
QUICK = [kind for kind in KINDS if kind != "application"]


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    volume = Volume(tmp_path_factory.mktemp("kinds") / "volume")
    put_kinds(volume, 160)
    return volume


@pytest.fixture(autouse=True)
def float32_again() -> Iterator[None]:
    yield
    keras.config.set_dtype_policy("float32")


def trained(volume: Volume, spec: dict[str, Any], device_bytes: int = 0) -> AttemptFolder:
    attempt = claim(put_job(volume, spec))
    settings = Settings(device_data_bytes=device_bytes, cache=volume.root.parent / "cache")
    ending = run(attempt, StopRequests(attempt, 60), settings).ending
    assert ending is not None
    assert ending.status == "succeeded", ending.error
    return attempt


@pytest.mark.parametrize("kind", QUICK)
def test_both_engines_give_the_same_numbers_and_the_way_of_the_data_changes_no_bit(
    volume: Volume, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock = trained(volume, kind_job(kind, engine="stock", epochs=2))
    resident = trained(volume, kind_job(kind, engine="fused", epochs=2))
    monkeypatch.setattr(fused, "call_seconds", lambda _: 0)
    streamed = trained(volume, kind_job(kind, engine="fused", epochs=2), device_bytes=20_000)
    ours, kerass = rows_of(resident.training_log), rows_of(stock.training_log)
    assert list(ours.columns) == list(kerass.columns)
    np.testing.assert_allclose(ours.to_numpy(), kerass.to_numpy(), rtol=2e-4, atol=1e-5)
    assert streamed.training_log.read_bytes() == resident.training_log.read_bytes()
    assert not np.allclose(ours["val_loss"][0], ours["val_loss"][1], rtol=1e-6), "it learns"


def test_the_stock_engine_reads_rows_from_files_as_from_memory(volume: Volume) -> None:
    resident = trained(volume, kind_job("augmented images", engine="stock", epochs=1))
    streamed = trained(volume, kind_job("augmented images", engine="stock", epochs=1), device_bytes=20_000)
    assert streamed.training_log.read_bytes() == resident.training_log.read_bytes()


def test_the_saved_model_takes_plain_images_and_gives_what_the_log_says(volume: Volume) -> None:
    attempt = trained(volume, kind_job("augmented images", epochs=2))
    record = attempt.job.record()
    assert record is not None
    data = load_data(attempt, record, Settings(cache=volume.root.parent / "cache"))
    manifest = read_manifest(attempt.manifest_file)
    assert manifest.best is not None
    best = manifest.find(manifest.best)
    assert best is not None
    model = keras.models.load_model(attempt.checkpoints / best.name)
    images, targets = data.validation.take(slice(None))
    found = model.evaluate(images, targets, verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx(best.metrics["val_loss"], rel=1e-5)
    assert found["accuracy"] == pytest.approx(best.metrics["val_accuracy"])
    assert "augment" not in str(model.get_config()).lower()


@pytest.mark.parametrize("engine", ["fused", "stock"])
def test_of_mixed_images_training_metrics_count_the_class_with_the_larger_share(volume: Volume, engine: str) -> None:
    spec = kind_job("mixed images", epochs=6, engine=engine, metrics=["accuracy", "precision"])
    attempt = trained(volume, spec)
    rows = rows_of(attempt.training_log)
    assert rows["accuracy"].iloc[-1] > 0.6, "compared with a share, no prediction would be right"
    record = attempt.job.record()
    assert record is not None
    validation = load_data(attempt, record, Settings(cache=volume.root.parent / "cache")).validation
    assert not validation.is_mixed
    assert set(validation.batch(validation.take(slice(None)))[1].ravel()) == {0, 1}


def test_mixed_precision_trains_and_the_output_stays_float32(volume: Volume) -> None:
    attempt = trained(volume, kind_job("arrays of images", precision="mixed_bfloat16", epochs=1))
    manifest = read_manifest(attempt.manifest_file)
    assert manifest.best is not None
    model = keras.models.load_model(attempt.checkpoints / manifest.best)
    assert [layer.compute_dtype for layer in model.layers][-1] == "float32"
    assert "bfloat16" in {layer.compute_dtype for layer in model.layers}


def built(volume: Volume, spec: dict[str, Any]) -> tuple[keras.Model, JobRecord]:
    attempt = claim(put_job(volume, spec))
    record = attempt.job.record()
    assert record is not None
    data = load_data(attempt, record, Settings(cache=volume.root.parent / "cache"))
    model = build_model(record, data)
    model(data.train.first_row[0])
    return model, record


def test_a_convolutional_network_has_its_blocks_and_as_many_parameters_as_were_judged(volume: Volume) -> None:
    for kind in ("augmented images", "arrays of images"):
        spec = kind_job(kind)
        model, record = built(volume, {**spec, "model": {**spec["model"], "kernel_size": 5, "pooling": "average"}})
        names = [type(layer).__name__ for layer in model.layers]
        block = ["Conv2D", "BatchNormalization", "Activation", "AveragePooling2D"]
        scaled = ["Rescaling"] if kind == "augmented images" else []
        dense = ["Dense", "Dropout"] if kind == "augmented images" else []
        assert names == [*scaled, *block, *block, "GlobalAveragePooling2D", *dense, "Dense"]
        assert describe_model(model, record).message == f"convolutional network, {model.count_params()} parameters"
        assert record.task.parameters == model.count_params()


def test_without_batch_normalization_a_convolution_has_a_bias(volume: Volume) -> None:
    spec = kind_job("arrays of images")
    model, _ = built(volume, {**spec, "model": {**spec["model"], "batch_normalization": False}})
    assert [layer.use_bias for layer in model.layers if isinstance(layer, keras.layers.Conv2D)] == [True, True]


def test_an_application_has_its_scaling_and_a_new_head(volume: Volume) -> None:
    model, record = built(volume, kind_job("application"))
    assert model.input_shape == (None, 32, 32, 3)
    assert model.output_shape == (None, 1)
    assert describe_model(model, record).message.startswith("mobilenetv3small, ")
    assert [type(layer).__name__ for layer in model.layers[-3:]] == ["GlobalAveragePooling2D", "Dropout", "Dense"]


def test_pixels_reach_a_network_in_the_range_that_its_weights_expect() -> None:
    from worker.training.models.application import _scaled

    pixels = np.linspace(0, 255, 9, dtype=np.float32).reshape(1, 1, 3, 3)
    preprocessing = {
        "MobileNetV2": keras.applications.mobilenet_v2, "Xception": keras.applications.xception,
        "DenseNet121": keras.applications.densenet, "EfficientNetV2B0": keras.applications.efficientnet_v2,
        "MobileNetV3Small": keras.applications.mobilenet_v3, "ConvNeXtTiny": keras.applications.convnext,
    }  # fmt: skip
    for name, module in preprocessing.items():
        np.testing.assert_allclose(
            _scaled(name, pixels), module.preprocess_input(pixels.copy()), atol=1e-5, err_msg=name
        )
    resnet = keras.applications.resnet.preprocess_input(pixels.copy())
    np.testing.assert_allclose(_scaled("ResNet50", pixels), resnet, atol=1e-3)
