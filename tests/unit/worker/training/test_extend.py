"""The resume point of a job that extends another one: Keras's own rules say what its state must be."""

import math
from typing import Any

import keras
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.inherit import rejudge
from shared.job_folder import JobFolder
from shared.manifest import read_manifest
from shared.progress import EpochProgress
from shared.spec import EarlyStoppingSpec, ReduceLROnPlateauSpec
from shared.volume import Volume
from tests.support.extending import content, end, extended
from tests.support.jobs import claim, learnable_frame, put_dataset, put_job, rows_of, small_spec
from tests.unit.shared.records import resolved, spec
from worker.training.extend import plateau_state, stopping_state
from worker.training.run import run
from worker.training.stop_requests import StopRequests

VALUES = st.lists(st.one_of(st.none(), st.floats(0, 1, width=32), st.sampled_from([0.5, 0.501, 0.502])), max_size=40)


def told(values: list[float | None], name: str) -> list[EpochProgress]:
    return [
        EpochProgress(
            epoch=epoch, epochs=50, metrics={name: value}, learning_rate=0.01, seconds=0.1, best=None,
            early_stopping=None, reduce_lr=None,
        )
        for epoch, value in enumerate(values, 1)
    ]  # fmt: skip


class Model:
    def __init__(self) -> None:
        self.stop_training = False
        self.optimizer = keras.optimizers.SGD(0.01)


@settings(deadline=None, max_examples=60)
@given(
    values=VALUES.map(lambda some: [one for one in some if one is not None]),
    mode=st.sampled_from(["min", "max"]),
    patience=st.integers(1, 20),
    start=st.integers(0, 6),
    min_delta=st.sampled_from([0.0, 0.001, 0.1]),
)
def test_the_state_of_early_stopping_is_the_one_that_kerass_own_would_have(
    values: list[float], mode: Any, patience: int, start: int, min_delta: float
) -> None:
    rule = EarlyStoppingSpec(monitor="val_x", mode=mode, patience=patience, start_from_epoch=start, min_delta=min_delta)
    judge = keras.callbacks.EarlyStopping(
        monitor="val_x", mode=mode, patience=patience, start_from_epoch=start, min_delta=min_delta
    )
    judge.set_model(Model())
    judge.on_train_begin()
    for epoch, value in enumerate(values):
        judge.on_epoch_end(epoch, {"val_x": value})
        if judge.model.stop_training:
            break
    state = stopping_state(told(list(values), "val_x"), rule)
    assert state == {
        "wait": judge.wait, "stopped_epoch": judge.stopped_epoch, "best": judge.best, "best_epoch": judge.best_epoch,
        "has_stopped": judge.model.stop_training,
    }  # fmt: skip
    if values and mode == "min" and not state["has_stopped"]:
        settings_ = {"patience": patience, "start_from_epoch": start, "min_delta": min_delta, "monitor": "val_loss"}
        asked = resolved({**spec(), "callbacks": {"early_stopping": settings_}}).spec
        last = rejudge(told(list(values), "val_loss"), asked)[-1].early_stopping
        assert last is not None
        assert (last.wait, last.last_improvement and last.last_improvement.value) == (judge.wait, judge.best)


@settings(deadline=None, max_examples=30)
@given(values=VALUES, patience=st.integers(1, 4), cooldown=st.integers(0, 3))
def test_the_state_of_the_plateau_and_its_rate_are_the_ones_that_kerass_own_would_have(
    values: list[float | None], patience: int, cooldown: int
) -> None:
    rule = ReduceLROnPlateauSpec(mode="min", patience=patience, cooldown=cooldown, factor=0.3, min_lr=0.0001)
    judge = keras.callbacks.ReduceLROnPlateau(
        monitor="val_loss", mode="min", patience=patience, cooldown=cooldown, factor=0.3, min_lr=0.0001
    )
    known = [0.5 if value is None else value for value in values]
    judge.set_model(Model())
    judge.on_train_begin()
    for epoch, value in enumerate(known):
        judge.on_epoch_end(epoch, {"val_loss": value})
    state, rate = plateau_state(told(list(known), "val_loss"), rule, 0.01)
    assert state == {"wait": judge.wait, "cooldown_counter": judge.cooldown_counter, "best": judge.best}
    assert rate == float(judge.model.optimizer.learning_rate)


def trained(volume: Volume, job: JobFolder) -> JobFolder:
    attempt = claim(job, len(job.attempts()) + 1)
    conclusion = run(attempt, StopRequests(attempt, 60))
    assert conclusion.ending is not None, attempt.path
    attempt.conclude(conclusion)
    end(volume, job)
    return job


def test_from_the_best_model_the_log_goes_on_behind_its_epoch_with_its_weights_and_rate(
    volume: Volume,
) -> None:
    put_dataset(volume, learnable_frame())
    asked = small_spec(
        model={"layers": [8], "dropout": 0.2},
        hyperparameters={"epochs": 6, "learning_rate": 0.05, "engine": "stock"},
        callbacks={
            "reduce_lr_on_plateau": {"patience": 1, "factor": 0.5, "min_delta": 0.05},
        },
    )
    first = trained(volume, put_job(volume, asked))
    before, manifest = content(first.path), read_manifest(first.attempts()[0].manifest_file)
    best = manifest.find(manifest.best or "")
    assert best is not None
    second = trained(volume, extended(volume, first, from_="best", epochs=best.epoch + 2))
    assert content(first.path) == before
    old, new = rows_of(first.attempts()[0].training_log), rows_of(second.attempts()[0].training_log)
    assert new["epoch"].tolist() == list(range(best.epoch + 2))
    assert new[: best.epoch].equals(old[: best.epoch])
    if best.epoch < len(old):
        assert new["learning_rate"][best.epoch] == old["learning_rate"][best.epoch]
    events = (second.attempts()[0].events_file).read_text()
    assert "cannot be used" not in events
    assert f"resumed at epoch {best.epoch + 1} from {first.id}" in events


def test_the_weights_that_it_goes_on_from_are_those_of_the_best_file(volume: Volume) -> None:
    """With a learning rate close to zero, one more epoch leaves the weights nearly unchanged."""
    put_dataset(volume, learnable_frame())
    first = trained(volume, put_job(volume, small_spec(hyperparameters={"epochs": 3, "learning_rate": 1e-12})))
    manifest = read_manifest(first.attempts()[0].manifest_file)
    best = manifest.find(manifest.best or "")
    assert best is not None
    second = trained(volume, extended(volume, first, from_="best", epochs=best.epoch + 1))
    rows = rows_of(second.attempts()[0].training_log)
    assert math.isclose(rows["val_loss"].iloc[-1], rows["val_loss"].iloc[best.epoch - 1], rel_tol=1e-5)
    model = keras.models.load_model(first.attempts()[0].checkpoints / best.name)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
