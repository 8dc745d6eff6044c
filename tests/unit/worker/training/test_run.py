"""Whole runs of the training program in this process, on small data."""

import json
import math
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest

from shared.durable import encode
from shared.events import Event, last_event, read_events
from shared.job import AttemptEnd, Conclusion, as_json
from shared.job_folder import JobFolder
from shared.manifest import read_manifest
from shared.progress import EpochProgress
from shared.rows import split_rows
from shared.times import utc_now
from shared.volume import Volume
from tests.support.jobs import LONG, claim, learnable_frame, put_dataset, put_job, rows_of, small_spec
from tests.support.waiting import wait_for
from worker.ipc.beat import Beat, write_beat
from worker.training.errors import Superseded
from worker.training.order import permutation
from worker.training.run import run
from worker.training.stop_requests import StopRequests


def concluded(volume: Volume, **spec: Any) -> tuple[JobFolder, Conclusion]:
    if volume.dataset("grades") is None:
        put_dataset(volume, learnable_frame())
    job = put_job(volume, small_spec(**spec))
    attempt = claim(job)
    return job, run(attempt, StopRequests(attempt, 60))


def events_of(job: JobFolder, kind: str) -> list[Event]:
    return [event for _, event in read_events(job.attempts()[0].events_file) if event.type == kind]


def test_a_run_that_is_given_few_epochs_completes_them(volume: Volume) -> None:
    job, conclusion = concluded(volume)
    assert conclusion.ending is not None
    stop = conclusion.ending.stop
    assert stop is not None
    assert (conclusion.ending.status, stop.reason, stop.last_epoch, stop.epochs_not_run) == (
        "succeeded", "epochs_completed", 4, 0,
    )  # fmt: skip
    rows = rows_of(job.attempts()[0].training_log)
    assert rows["epoch"].tolist() == [0, 1, 2, 3]
    assert list(rows.columns) == [
        "epoch", "accuracy", "learning_rate", "loss", "precision", "recall",
        "val_accuracy", "val_loss", "val_precision", "val_recall",
    ]  # fmt: skip


def test_a_schedule_sets_the_learning_rate_of_each_epoch(volume: Volume) -> None:
    schedule = {"kind": "step", "decay_epochs": 1, "factor": 0.5, "warmup_epochs": 1}
    job, _ = concluded(
        volume, callbacks={"learning_rate_schedule": schedule}, hyperparameters={"learning_rate": 0.4, "epochs": 4}
    )
    assert rows_of(job.attempts()[0].training_log)["learning_rate"].tolist() == pytest.approx([0.2, 0.4, 0.2, 0.1])


def test_early_stopping_ends_the_run_with_its_evidence(volume: Volume) -> None:
    job, conclusion = concluded(
        volume, hyperparameters={"epochs": 1000}, callbacks={"early_stopping": {"patience": 3, "min_delta": 0.05}}
    )
    assert conclusion.ending is not None
    stop = conclusion.ending.stop
    assert stop is not None
    assert (stop.reason, stop.monitor, stop.wait, stop.patience) == ("early_stopping", "val_accuracy", 3, 3)
    assert stop.last_improvement is not None
    assert stop.last_epoch == stop.last_improvement.epoch + 3
    assert stop.last_improvement.min_delta == 0.05
    assert stop.epochs_not_run == 1000 - stop.last_epoch
    rows = rows_of(job.attempts()[0].training_log)
    assert len(rows) == stop.last_epoch
    assert rows["val_accuracy"][stop.last_improvement.epoch - 1] == stop.last_improvement.value
    assert stop.best is not None
    assert (stop.best.epoch, stop.best.value) == (rows["val_accuracy"].idxmax() + 1, rows["val_accuracy"].max())
    [told] = events_of(job, "stop")
    assert told.message.startswith("stopped: val_accuracy has not improved for 3 epochs; its last improvement was")


def test_the_events_say_what_the_articles_pictures_show(volume: Volume) -> None:
    job, _ = concluded(
        volume,
        hyperparameters={"epochs": 6, "learning_rate": 0.01},
        callbacks={"reduce_lr_on_plateau": {"patience": 1, "min_delta": 10.0, "factor": 0.5}},
    )
    [first, *later] = [event.message for event in events_of(job, "checkpoint")]
    assert first.startswith("the first val_accuracy is 0.")
    assert all(message.startswith("val_accuracy improved from 0.") and ", saved model-" in message for message in later)
    drops = [event.message for event in events_of(job, "learning_rate")]
    assert drops[0] == "learning rate 0.01 → 0.005: val_loss has not improved for 1 epochs"
    assert len(events_of(job, "epoch")) == 6
    assert events_of(job, "data")[0].message == "192 rows to train on, 48 to validate on, 4 features"


def test_each_epochs_event_equals_its_row(volume: Volume) -> None:
    job, _ = concluded(volume)
    rows = rows_of(job.attempts()[0].training_log)
    for event, (_, row) in zip(events_of(job, "epoch"), rows.iterrows(), strict=True):
        progress = EpochProgress.model_validate(event.data)
        assert progress.epoch == row["epoch"] + 1
        assert progress.metrics == {name: row[name] for name in progress.metrics}
        assert progress.learning_rate == row["learning_rate"]


def test_the_same_job_twice_gives_the_same_numbers(volume: Volume) -> None:
    options: dict[str, Any] = {"model": {"layers": [8, 8], "dropout": 0.3}}
    logs = [concluded(volume, **options)[0].attempts()[0].training_log.read_bytes() for _ in range(2)]
    assert logs[0] == logs[1]
    other, _ = concluded(volume, hyperparameters={"epochs": 4, "seed": 7}, **options)
    assert other.attempts()[0].training_log.read_bytes() != logs[0]


@pytest.mark.parametrize(
    ("parts", "metrics"),
    [
        ({"dataset": {"positive": None}}, ["loss", "accuracy"]),
        ({"dataset": {"positive": None, "target": "c"}}, ["loss", "mae"]),
        (
            {
                "dataset": {"positive": None, "target": "c"},
                "hyperparameters": {"metrics": ["mae", "mse", "rmse", "r2"]},
            },
            ["loss", "mae", "mse", "rmse", "r2"],
        ),
        ({"hyperparameters": {"metrics": ["auc"]}}, ["loss", "auc"]),
        ({"hyperparameters": {"metrics": []}}, ["loss"]),
        ({"hyperparameters": {"optimizer": "sgd", "batch_size": 1000}}, ["loss", "accuracy", "precision", "recall"]),
        (
            {"callbacks": {"model_checkpoint": None, "csv_logger": None, "reduce_lr_on_plateau": None}},
            ["loss", "accuracy", "precision", "recall"],
        ),
    ],
)
def test_every_kind_of_target_trains_and_logs_what_its_record_promised(
    volume: Volume, parts: dict[str, Any], metrics: list[str]
) -> None:
    parts.setdefault("hyperparameters", {})["epochs"] = 2
    job, conclusion = concluded(volume, **parts)
    assert conclusion.ending is not None
    assert conclusion.ending.status == "succeeded"
    record = job.record()
    assert record is not None
    last = last_event(job.attempts()[0], "epoch")
    assert last is not None
    assert set(last.data["metrics"]) == set(record.task.log_names)
    assert set(record.task.log_names) == {*metrics, *(f"val_{name}" for name in metrics)}
    model = next(event for event in events_of(job, "model"))
    assert model.data["parameters"] == record.task.parameters


def test_a_loss_that_is_not_finite_ends_the_run_as_diverged_and_keeps_the_last_good_checkpoint(volume: Volume) -> None:
    job, conclusion = concluded(
        volume,
        dataset={"positive": None, "target": "c"},
        hyperparameters={"epochs": 50, "optimizer": "sgd", "learning_rate": 90.0},
        model={"layers": [8, 8], "activation": "linear"},
    )
    assert conclusion.ending is not None
    error, stop = conclusion.ending.error, conclusion.ending.stop
    assert error is not None
    assert stop is not None
    assert (conclusion.ending.status, error.code, stop.reason, conclusion.may_retry) == (
        "failed", "diverged", "diverged", False,
    )  # fmt: skip
    assert "epoch" in error.message
    attempt = job.attempts()[0]
    assert all(
        value is not None and math.isfinite(value)
        for one in read_manifest(attempt.manifest_file).checkpoints
        for value in one.metrics.values()
    )
    if attempt.training_log.exists() and stop.last_epoch:
        assert np.isfinite(rows_of(attempt.training_log)["loss"]).all()


def test_an_infinite_validation_loss_ends_the_run_with_a_conclusion(volume: Volume) -> None:
    """No document holds an infinite number: the program used to end with status 1 and without a conclusion."""
    frame = learnable_frame()
    _, validation = split_rows(len(frame), 0.2, 42)
    frame.loc[validation[3], ["a", "b"]] = 3e38
    put_dataset(volume, frame)
    _, conclusion = concluded(volume, dataset={"positive": None, "target": "c", "scaling": "none"})
    assert conclusion.ending is not None
    assert conclusion.ending.error is not None
    assert conclusion.ending.error.code == "diverged"
    assert conclusion.ending.error.message.startswith("val_loss became inf in epoch 1")
    assert encode(as_json(conclusion))


def test_a_cancel_stops_the_run_between_two_batches(volume: Volume) -> None:
    put_dataset(volume, learnable_frame())
    job = put_job(volume, LONG)
    attempt = claim(job)
    job.request_cancel()
    conclusion = run(attempt, StopRequests(attempt, 60))
    assert conclusion.ending is not None
    assert conclusion.ending.status == "cancelled"


def test_a_run_whose_attempt_was_ended_by_others_writes_nothing_more(volume: Volume) -> None:
    put_dataset(volume, learnable_frame())
    attempt = claim(put_job(volume, small_spec()))
    attempt.close(AttemptEnd(outcome="lost", ended_at=utc_now()))
    with pytest.raises(Superseded):
        run(attempt, StopRequests(attempt, 60))
    assert attempt.conclusion() is None
    assert not attempt.training_log.exists()


def test_a_heartbeat_that_stands_still_stops_the_run(volume: Volume) -> None:
    put_dataset(volume, learnable_frame())
    attempt = claim(put_job(volume, LONG))
    write_beat(attempt, Beat(1, time.monotonic()))
    with pytest.raises(Superseded, match="no heartbeat"):
        run(attempt, StopRequests(attempt, 0.5))


def test_sigterm_hands_the_job_back(volume: Volume) -> None:
    put_dataset(volume, learnable_frame())
    attempt = claim(put_job(volume, LONG))
    process = subprocess.Popen([sys.executable, "-m", "worker.training", str(attempt.path)], stderr=subprocess.DEVNULL)
    try:
        wait_for(attempt.training_log.exists)
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0
    finally:
        process.kill()
        process.wait()
    conclusion = attempt.conclusion()
    assert conclusion is not None
    assert conclusion.ending is None


def test_a_wrong_call_says_how_it_is_called() -> None:
    done = subprocess.run([sys.executable, "-m", "worker.training", "nowhere"], capture_output=True, check=False)
    assert (done.returncode, done.stderr.startswith(b"usage: ")) == (2, True)


def test_an_epochs_order_depends_on_seed_and_epoch_alone() -> None:
    orders = {(seed, epoch): tuple(permutation(seed, epoch, 100)) for seed in (1, 2) for epoch in range(5)}
    assert len(set(orders.values())) == 10
    assert orders[1, 3] == tuple(permutation(1, 3, 100))
    assert sorted(orders[1, 3]) == list(range(100))
    assert json.dumps([int(row) for row in permutation(42, 0, 8)]) == "[7, 0, 4, 2, 1, 3, 5, 6]"
