"""The rule for every kind of data and model: on a CPU XLA never compiles a convolution."""

import json
import os
from typing import Any

import numpy as np
import pytest

from shared.job import EnginePlan, JobRecord
from shared.volume import Volume
from tests.support.jobs import put_job
from tests.support.keras_configs import a_layer, a_model
from tests.support.kinds import AUGMENT, KINDS, kind_job, put_kinds
from worker.training.data.rows import Data, Part
from worker.training.engine import plan
from worker.training.engine.plan import decide_plan
from worker.training.models.earlier_job import find_earlier_model

# Far more than enough for XLA's compile time to pay off.
ROWS, EPOCHS = 50_000, 1000
ON_IMAGES: dict[str, Any] = {"dataset": {"kind": "images", "id": "digits"}, "model": {"kind": "cnn", "filters": [4]}}


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    volume = Volume(tmp_path_factory.mktemp("kinds") / "volume")
    put_kinds(volume, 100)
    return volume


def chosen(volume: Volume, spec: dict[str, Any], on: str, monkeypatch: pytest.MonkeyPatch) -> EnginePlan:
    spec = {**spec, "hyperparameters": {**spec.get("hyperparameters", {}), "epochs": EPOCHS, "batch_size": 32}}
    spec["callbacks"] = {"early_stopping": None}
    job = put_job(volume, spec)
    record = job.record()
    assert record is not None
    monkeypatch.setattr(plan, "device", lambda: on)
    return decide_plan(record, many_rows(record), find_earlier_model(job, record))


def many_rows(record: JobRecord) -> Data:
    shape = record.spec.dataset.shape if hasattr(record.spec.dataset, "shape") else (8, 8, 1)
    part = Part({"x": np.broadcast_to(np.uint8(0), (ROWS, *shape))}, np.broadcast_to(np.float32(0), (ROWS, 1)))
    return Data(part, part)


@pytest.mark.parametrize("kind", KINDS)
def test_what_holds_a_convolution_is_never_compiled_by_xla_on_a_cpu(
    volume: Volume, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = chosen(volume, kind_job(kind), "CPU", monkeypatch)
    has_convolutions = kind not in {"two inputs", "several outputs"}
    assert found.engine == "fused"
    assert found.xla != has_convolutions, found.reason
    if kind in {"application", "arrays of images", "earlier job"}:
        assert found.reason.endswith("without XLA: XLA makes convolutions many times slower on a CPU")
    if has_convolutions:
        assert found.rewrites_graphs
        assert found.threads == len(os.sched_getaffinity(0))


@pytest.mark.parametrize("kind", ["arrays of images", "application"])
def test_on_a_gpu_a_convolution_is_compiled_by_xla(volume: Volume, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(volume, kind_job(kind), "GPU", monkeypatch).xla


@pytest.mark.parametrize("on", ["CPU", "GPU"])
@pytest.mark.parametrize("field", AUGMENT)
def test_geometric_augmentation_is_never_compiled_by_xla(
    volume: Volume, field: str, on: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = {**ON_IMAGES, "dataset": {**ON_IMAGES["dataset"], "augment": {field: AUGMENT[field]}}}
    found = chosen(volume, spec, on, monkeypatch)
    if field in {"shift", "rotation", "zoom"}:
        assert not found.xla
        assert "XLA does not compile the shift, rotation and zoom of images" in found.reason
    else:
        assert found.xla == (on == "GPU")


def keras_job(*layers: Any, shape: tuple[Any, ...] = (None, 8, 8, 1)) -> dict[str, Any]:
    output = [a_layer("Flatten"), a_layer("Dense", units=10, activation="softmax")]
    config = json.loads(json.dumps(a_model(*layers, *output, shape=shape)))
    return {"dataset": {"kind": "arrays", "id": "grey"}, "model": {"kind": "keras", "config": config}}


@pytest.mark.parametrize(
    ("layer", "on_cpu", "on_gpu"),
    [
        (a_layer("Dense", units=8), "with XLA", "with XLA"),
        (a_layer("BatchNormalization"), "with XLA", "with XLA"),
        (a_layer("Conv2D", filters=2, kernel_size=3), "many times slower on a CPU", "with XLA"),
        (a_layer("SeparableConv2D", filters=2, kernel_size=3), "many times slower on a CPU", "with XLA"),
        (a_layer("DepthwiseConv2D", kernel_size=3), "many times slower on a CPU", "with XLA"),
        (a_layer("MaxPooling2D"), "XLA is not known to make MaxPooling2D faster on a CPU", "with XLA"),
        (a_layer("RandomFlip"), "XLA does not compile RandomFlip", "XLA does not compile RandomFlip"),
        (
            a_model(a_layer("Conv2D", filters=2, kernel_size=3), shape=(None, 8, 8, 1)),
            "many times slower on a CPU",
            "with XLA",
        ),
    ],
    ids=lambda value: value["class_name"] if isinstance(value, dict) else "",
)
def test_a_model_of_ones_own_is_judged_by_its_layers(
    volume: Volume, layer: Any, on_cpu: str, on_gpu: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for on, words in (("CPU", on_cpu), ("GPU", on_gpu)):
        found = chosen(volume, keras_job(layer), on, monkeypatch)
        assert words in found.reason
        assert found.xla == (words == "with XLA")


def test_dense_networks_on_arrays_are_computed_as_those_on_tables(
    volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = chosen(volume, kind_job("several outputs"), "CPU", monkeypatch)
    assert (found.xla, found.threads, found.validation_batch) == (True, 1, 8192)


def test_a_validation_batch_of_images_is_smaller_the_larger_they_are(
    volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = [{**ON_IMAGES, "dataset": {**ON_IMAGES["dataset"], "size": [side, side]}} for side in (16, 64, 512)]
    sizes = [chosen(volume, spec, "CPU", monkeypatch) for spec in specs]
    assert [one.validation_batch for one in sizes] == [8192, 976, 32]
