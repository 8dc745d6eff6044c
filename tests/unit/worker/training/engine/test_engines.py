"""Two engines, one result: the same batches, the same numbers, the same files."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from shared.events import Event, read_events
from shared.job import Conclusion, EnginePlan
from shared.job_folder import AttemptFolder, JobFolder
from shared.manifest import read_manifest
from shared.settings import Settings
from shared.volume import Volume
from tests.support.jobs import claim, learnable_frame, put_dataset, put_job, rows_of, small_spec
from worker.training.engine import fused
from worker.training.engine.fused import FusedEngine, missing_in_keras
from worker.training.engine.programs import finite_flags
from worker.training.engine.stock import skip_done_batches
from worker.training.resume.point import Place
from worker.training.run import run
from worker.training.stop_requests import StopRequests


@pytest.fixture
def graded(volume: Volume) -> Volume:
    put_dataset(volume, learnable_frame())
    return volume


def trained(volume: Volume, engine: str, *, xla: bool = False, device_bytes: int = 0, **parts: Any) -> JobFolder:
    job, conclusion = concluded(volume, engine, xla=xla, device_bytes=device_bytes, **parts)
    assert conclusion.ending is not None
    assert conclusion.ending.status == "succeeded", conclusion.ending.error
    return job


def concluded(
    volume: Volume, engine: str, *, xla: bool = False, device_bytes: int = 0, **parts: Any
) -> tuple[JobFolder, Conclusion]:
    hyperparameters = {"epochs": 4, **parts.pop("hyperparameters", {}), "engine": engine, "xla": xla}
    job = put_job(volume, small_spec(hyperparameters=hyperparameters, **parts))
    attempt = claim(job)
    return job, run(attempt, StopRequests(attempt, 60), Settings(device_data_bytes=device_bytes))


def attempt_of(job: JobFolder) -> AttemptFolder:
    return job.attempts()[-1]


def log_of(job: JobFolder) -> pd.DataFrame:
    return rows_of(attempt_of(job).training_log)


def bytes_of(job: JobFolder) -> bytes:
    return attempt_of(job).training_log.read_bytes()


def saved_epochs(job: JobFolder) -> list[int]:
    return [one.epoch for one in read_manifest(attempt_of(job).manifest_file).checkpoints]


def told(job: JobFolder, kind: str) -> list[Event]:
    return [event for _, event in read_events(attempt_of(job).events_file) if event.type == kind]


KINDS: dict[str, dict[str, Any]] = {
    "a partial last batch": {"hyperparameters": {"batch_size": 50}},
    "one batch that is all rows": {"hyperparameters": {"batch_size": 1000}},
    "batches of one row": {"hyperparameters": {"batch_size": 1, "epochs": 2}},
    "several metrics": {"hyperparameters": {"metrics": ["accuracy", "precision", "recall", "auc"]}},
    "several classes": {"dataset": {"positive": None}},
    "a regression": {
        "dataset": {"positive": None, "target": "c"},
        "hyperparameters": {"metrics": ["mae", "rmse", "r2"], "learning_rate": 0.01},
    },
    "weighted classes": {"hyperparameters": {"class_weight": "balanced", "batch_size": 50}},
    "another optimizer": {"hyperparameters": {"optimizer": "adamw"}},
}


@pytest.mark.parametrize("kind", KINDS)
def test_without_xla_both_engines_give_the_same_numbers_and_save_the_same_epochs(graded: Volume, kind: str) -> None:
    stock, fused_ = trained(graded, "stock", **KINDS[kind]), trained(graded, "fused", **KINDS[kind])
    ours, kerass = log_of(fused_), log_of(stock)
    assert list(ours.columns) == list(kerass.columns)
    np.testing.assert_allclose(ours.to_numpy(), kerass.to_numpy(), rtol=1e-6, atol=1e-6)
    assert saved_epochs(fused_) == saved_epochs(stock)
    assert [plan_of(job).engine for job in (stock, fused_)] == ["stock", "fused"]


def test_validation_in_batches_gives_the_same_in_both(graded: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.training.order._MOST_VALIDATION_ROWS", 20)
    jobs = [trained(graded, engine, hyperparameters={"batch_size": 16}) for engine in ("stock", "fused")]
    assert plan_of(jobs[1]).validation_batch == 20
    np.testing.assert_allclose(log_of(jobs[0]).to_numpy(), log_of(jobs[1]).to_numpy(), rtol=1e-6, atol=1e-6)


NOISY: dict[str, Any] = {"model": {"layers": [8, 8], "dropout": 0.3, "batch_normalization": True}}


@pytest.mark.parametrize("xla", [False, True])
def test_the_length_of_a_call_and_the_way_of_the_data_change_no_bit(
    graded: Volume, monkeypatch: pytest.MonkeyPatch, xla: bool
) -> None:
    once = trained(graded, "fused", xla=xla, **NOISY)
    streamed = trained(graded, "fused", xla=xla, device_bytes=2000, **NOISY)
    monkeypatch.setattr(fused, "call_seconds", lambda _: 0)
    step_by_step = trained(graded, "fused", xla=xla, **NOISY)
    assert bytes_of(streamed) == bytes_of(once)
    assert bytes_of(step_by_step) == bytes_of(once)


@pytest.mark.parametrize(("step", "call"), [(0.001, 0.25), (0.0625, 0.25), (0.1, 0.4), (0.35, 0.8), (3, 0.8)])
def test_a_call_lasts_a_quarter_of_a_second_and_longer_where_few_steps_fit_into_it(step: float, call: float) -> None:
    assert fused.call_seconds(step) == pytest.approx(call)


def test_data_larger_than_the_devices_share_is_streamed_in_blocks(
    graded: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[FusedEngine] = []
    ours = FusedEngine.__init__

    def noted(self: FusedEngine, *arguments: Any) -> None:
        ours(self, *arguments)
        made.append(self)

    monkeypatch.setattr(FusedEngine, "__init__", noted)
    trained(graded, "fused", device_bytes=2000)
    trained(graded, "fused")
    assert [engine.is_streaming for engine in made] == [True, False]


DIVERGING: dict[str, Any] = {
    "dataset": {"positive": None, "target": "c"},
    "hyperparameters": {"epochs": 50, "optimizer": "sgd", "learning_rate": 90.0, "batch_size": 8},
    "model": {"layers": [8, 8], "activation": "linear"},
}


def test_the_bad_batch_is_named_and_is_the_one_that_the_stock_engine_names(graded: Volume) -> None:
    messages = []
    for engine in ("stock", "fused"):
        _, conclusion = concluded(graded, engine, **DIVERGING)
        assert conclusion.ending is not None
        assert conclusion.ending.error is not None
        assert conclusion.ending.error.code == "diverged"
        messages.append(conclusion.ending.error.message.split(" in ")[1])
    assert "batch" in messages[0]
    assert messages[0] == messages[1]


def test_weights_that_die_behind_relu_end_the_run_though_the_loss_is_finite(
    graded: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a CPU, relu in graph mode hides NaN, so the end of the epoch checks the weights themselves."""
    monkeypatch.setattr(
        "worker.training.engine.programs.finite_flags",
        lambda model: tf.stack([index != 1 for index, _ in enumerate(model.trainable_variables)]),
    )
    _, conclusion = concluded(graded, "fused")
    assert conclusion.ending is not None
    assert conclusion.ending.error is not None
    assert "the weights dense" in conclusion.ending.error.message
    assert "bias are not finite after epoch 1, though the loss is" in conclusion.ending.error.message


def test_finite_weights_are_told_from_others() -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2), keras.layers.Dense(1)])
    assert finite_flags(model).numpy().tolist() == [True] * 4
    for bad in (math.nan, math.inf):
        model.trainable_variables[2].assign([[bad], [1.0]])
        assert finite_flags(model).numpy().tolist() == [True, True, False, True]


class OnlyInGraphs(keras.layers.Layer):
    """A layer that TensorFlow's graphs can run and XLA cannot compile."""

    def call(self, inputs: Any) -> Any:
        passed = tf.py_function(lambda values: values, [inputs], tf.float32)
        passed.set_shape(inputs.shape)
        return passed


def with_a_layer(monkeypatch: pytest.MonkeyPatch, layer: keras.layers.Layer) -> None:
    import worker.training.models.build

    ours = worker.training.models.build._output

    def output(*arguments: Any) -> Any:
        return keras.Sequential([layer, ours(*arguments)])

    monkeypatch.setattr(worker.training.models.build, "_output", output)


def test_a_model_that_xla_cannot_compile_trains_on_without_it_and_says_so(
    graded: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_a_layer(monkeypatch, OnlyInGraphs())
    job = trained(graded, "fused", xla=True, callbacks={"model_checkpoint": None})
    plan = plan_of(job)
    assert (plan.engine, plan.xla) == ("fused", False)
    warning, chosen = told(job, "engine")
    assert warning.level == "warning"
    assert warning.message.startswith("continues with the fused engine without XLA: the model could not be compiled (")
    assert chosen.data == plan.model_dump(mode="json")
    assert len(log_of(job)) == 4


def test_a_keras_without_the_private_names_trains_on_the_stock_engine_and_says_so(
    graded: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fused, "DataAdapter", None)
    job = trained(graded, "fused", xla=True)
    assert (plan_of(job).engine, plan_of(job).xla) == ("stock", False)
    assert "this Keras lacks keras.src.trainers" in told(job, "engine")[-1].message


def test_this_keras_has_every_private_name() -> None:
    assert missing_in_keras() is None


def test_fit_asks_the_model_for_its_training_function_by_the_names_that_we_set() -> None:
    """Keras calls what the fused engine sets in its place, and builds nothing of its own beside it."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(loss="mse")
    model.optimizer.build(model.trainable_variables)
    calls: list[str] = []
    model.train_function = lambda _: calls.append("train") or {"loss": tf.constant(1.0)}
    model.test_function = lambda _: calls.append("test") or {"loss": tf.constant(2.0)}
    model._get_metrics_result_or_logs = lambda logs: calls.append("logs") or logs
    model.reset_metrics = lambda: calls.append("begin")
    history = model.fit(fused.Placeholder(), validation_data=fused.Placeholder(), epochs=2, verbose=0)
    assert calls == ["begin", "train", "logs", "begin", "test", "logs"] * 2
    assert history.history == {"loss": [1.0, 1.0], "val_loss": [2.0, 2.0]}


def plan_of(job: JobFolder) -> EnginePlan:
    plan = job.plan()
    assert plan is not None
    return plan


def test_a_job_keeps_the_plan_that_its_first_attempt_made(graded: Volume) -> None:
    job = put_job(graded, small_spec(hyperparameters={"epochs": 2}))
    decided = EnginePlan(
        engine="stock", xla=False, threads=1, validation_batch=7, steps_per_epoch=6, reason="decided before"
    )
    job.keep_to(decided)
    attempt = claim(job)
    run(attempt, StopRequests(attempt, 60))
    assert job.plan() == decided
    assert told(job, "engine")[-1].message == "stock engine without XLA, 1 thread: decided before"


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("engine", ["fused", "stock"])
def test_mixed_precision_trains_saves_and_loads(graded: Volume, engine: str, precision: str) -> None:
    job = trained(graded, engine, hyperparameters={"epochs": 2, "precision": precision})
    assert np.isfinite(log_of(job).to_numpy()).all()
    manifest = read_manifest(attempt_of(job).manifest_file)
    loaded = keras.models.load_model(attempt_of(job).checkpoints / str(manifest.best))
    assert loaded.layers[0].compute_dtype == precision.removeprefix("mixed_")
    assert loaded.layers[-1].compute_dtype == "float32"


def test_a_cancel_inside_a_long_epoch_leaves_no_half_epoch(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    put_dataset(volume, learnable_frame(2000))
    monkeypatch.setattr(fused, "call_seconds", lambda _: 0)
    job = put_job(volume, small_spec(hyperparameters={"epochs": 1000, "batch_size": 1, "engine": "fused"}))
    attempt = claim(job)
    calls: list[int] = []
    ours = StopRequests.check

    def check(self: StopRequests) -> None:
        calls.append(1)
        if len(calls) == 40:
            job.request_cancel()
        ours(self)

    monkeypatch.setattr(StopRequests, "check", check)
    conclusion = run(attempt, StopRequests(attempt, 60))
    assert conclusion.ending is not None
    assert conclusion.ending.status == "cancelled"
    assert not told(job, "epoch")
    assert attempt.training_log.read_bytes() == b""
    [point] = attempt.resume.glob("point-*")
    assert Path(point).name.startswith("point-0000000-0000")


def test_a_resumed_epoch_leaves_out_the_calls_that_are_done_where_each_has_several_batches() -> None:
    model: Any = SimpleNamespace(train_function=lambda _: "trained", get_metrics_result=dict, steps_per_execution=4)
    train_function = skip_done_batches(model, Place(0, 8))
    assert [train_function(None) for _ in range(3)] == [{}, {}, "trained"]
