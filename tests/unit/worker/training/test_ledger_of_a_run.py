"""The ledger reads what the training program itself writes, with its compiled engine and its writer thread."""

import time
from itertools import pairwise

import pytest

from shared.events import read_events
from shared.history import JobReader
from shared.job import AttemptEnd
from shared.ledger import ledger
from shared.times import utc_now
from shared.volume import Volume
from tests.support.jobs import claim, learnable_frame, put_dataset, put_job, small_spec
from worker.ipc.beat import Beat, write_beat
from worker.training.run import run
from worker.training.stop_requests import StopRequests


@pytest.mark.parametrize("engine", ["fused", "stock"])
def test_a_real_run_is_cut_into_its_parts_to_the_microsecond(volume: Volume, engine: str) -> None:
    put_dataset(volume, learnable_frame())
    job = put_job(
        volume,
        small_spec(
            hyperparameters={"epochs": 50, "engine": engine},
            callbacks={"early_stopping": {"patience": 3, "min_delta": 0.2}},
        ),
    )
    claimed = time.monotonic() - 5
    attempt = claim(job)
    write_beat(attempt, Beat(1, claimed + 4, 4.0))
    ending = run(attempt, StopRequests(attempt, 60)).ending
    assert ending is not None
    assert ending.stop is not None
    held = time.monotonic() - claimed
    end = AttemptEnd(outcome="finished", ended_at=utc_now(), held_seconds=held, ending=ending)
    attempt.close(end)
    job.settle(ending, attempt=1)

    history = JobReader(job).read_on()
    assert history is not None
    [read] = history.attempts
    moments = {event.type: event.at for _, event in read_events(attempt.events_file)}
    assert moments["engine"] >= moments["model"] >= moments["started"] >= 5
    assert read.began == round(moments["engine"] * 1e6)
    assert (read.training_rows, read.resumed, read.from_attempt) == (len(learnable_frame()) * 4 // 5, None, None)
    epochs = history.epochs()
    assert [told.epoch for told in epochs] == list(range(1, ending.stop.last_epoch + 1))
    assert all(before.ended <= after.ended for before, after in pairwise(epochs))
    assert ending.stop.best is not None
    assert history.best_epoch() == ending.stop.best.epoch

    found = ledger(history)
    assert found.total == round(held * 1e6)
    assert found.part("start_up") >= moments["model"] * 1e6
    assert found.part("learning") > 0
    assert (found.part("patience") > 0) == (ending.stop.best.epoch < ending.stop.last_epoch)
    assert found.part("redone") == 0
    assert found.avoided_epochs == ending.stop.epochs_not_run > 0
