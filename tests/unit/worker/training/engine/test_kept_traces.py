"""Traces of earlier jobs: a job that finds them traces nothing, and ends equal to one that traces, in every bit."""

import functools
from pathlib import Path
from typing import Any

import keras
import pytest
from tensorflow.python.eager import context

from shared.job import EnginePlan
from shared.job_folder import JobFolder
from shared.volume import Volume
from tests.support.jobs import claim, learnable_frame, put_dataset, put_job, small_spec
from tests.support.killing import outcome
from worker.ipc.kept_programs import STORE_VARIABLE
from worker.ipc.program_store import make_store, put_content
from worker.training.data.load import load_data
from worker.training.engine.kept_traces import name_traces
from worker.training.engine.plan import decide_plan
from worker.training.models.build import build_model
from worker.training.run import run
from worker.training.stop_requests import StopRequests

NOISY: dict[str, Any] = {"model": {"layers": [8, 8], "dropout": 0.3, "batch_normalization": True}}


@pytest.fixture
def graded(volume: Volume) -> Volume:
    put_dataset(volume, learnable_frame(150))
    return volume


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return make_store(tmp_path / "stores" / "compiler")


@pytest.fixture
def traced_steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of Keras's steps that have been traced."""
    traced: list[str] = []

    def count(step: Any) -> Any:
        @functools.wraps(step)
        def counted(*arguments: Any) -> Any:
            traced.append(step.__name__)
            return step(*arguments)

        return counted

    for name in ("train_step", "test_step"):
        monkeypatch.setattr(keras.Model, name, count(getattr(keras.Model, name)))
    return traced


def trained(volume: Volume, seed: int) -> JobFolder:
    hyperparameters = {"epochs": 3, "seed": seed, "engine": "fused", "xla": False}
    job = put_job(volume, small_spec(hyperparameters=hyperparameters, **NOISY))
    attempt = claim(job)
    attempt.conclude(run(attempt, StopRequests(attempt, 60)))
    return job


def test_a_job_that_finds_traces_traces_no_step_and_ends_equal_to_one_that_does(
    graded: Volume, store: Path, traced_steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    without = outcome(trained(graded, seed=2))
    assert traced_steps == ["train_step", "test_step", "train_step"], "the last one for the rows that are left over"
    monkeypatch.setenv(STORE_VARIABLE, str(store))
    trained(graded, seed=1)
    assert len(traced_steps) == 6
    assert outcome(trained(graded, seed=2)) == without
    assert len(traced_steps) == 6, "what the job with another seed has traced serves this one"
    (kept,) = store.iterdir()
    content = bytearray(kept.read_bytes())
    content[len(content) // 2] ^= 1
    kept.write_bytes(content)
    assert outcome(trained(graded, seed=2)) == without
    assert len(traced_steps) == 9, "damaged traces are made again"
    assert list(store.iterdir()) == [kept]
    kept.unlink()
    put_content(store, kept.name, b"whole, and no traces")
    job = trained(graded, seed=2)
    assert (outcome(job).log, outcome(job).checkpoints) == (without.log, without.checkpoints)
    assert (plan := job.plan()) is not None
    assert plan.engine == "fused", "it has traced by itself"
    assert list(store.iterdir()) == []


def name_of(volume: Volume, change: dict[str, Any] | None = None, **parts: Any) -> str | None:
    """Return the name of a job's traces, with a change of its plan."""
    job = put_job(volume, small_spec(**parts))
    record = job.record()
    assert record is not None
    data = load_data(claim(job), record)
    plan = EnginePlan.model_validate({**decide_plan(record, data).model_dump(), **(change or {})})
    return name_traces(record, build_model(record, data), data, plan)


def test_traces_have_another_name_with_all_that_decides_them_and_none_else(
    graded: Volume, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert name_of(graded) is None, "nothing is kept without a store"
    monkeypatch.setenv(STORE_VARIABLE, str(store))
    name = name_of(graded)
    assert name is not None
    for same in ({"seed": 7}, {"epochs": 9}, {"learning_rate": 0.5}):
        assert name_of(graded, hyperparameters=same) == name
    others = [
        name_of(graded, hyperparameters={"batch_size": 16}),
        name_of(graded, hyperparameters={"optimizer": {"name": "adam", "epsilon": 0.1}}),
        name_of(graded, hyperparameters={"class_weight": "balanced"}),
        name_of(graded, hyperparameters={"precision": "mixed_bfloat16"}),
        name_of(graded, hyperparameters={"metrics": ["auc"]}),
        name_of(graded, model={"activation": "tanh"}),
        name_of(graded, dataset={"positive": None}),
        name_of(graded, {"xla": True}),
        name_of(graded, {"rewrites_graphs": True}),
    ]
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    others.append(name_of(graded))
    monkeypatch.setattr("worker.training.engine.kept_traces._SOURCE", "another version")
    others.append(name_of(graded))
    assert len({name, *others}) == 1 + len(others)
    monkeypatch.setattr("worker.training.engine.kept_traces.device", lambda: "GPU")
    assert name_of(graded) is None


def test_the_private_names_that_run_a_function_without_tracing_it_are_there() -> None:
    runtime = context.context()
    for name in ("add_function_def", "call_function", "has_function"):
        assert callable(getattr(runtime, name))
