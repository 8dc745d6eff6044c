"""The ledger reads what the training program itself writes, with its compiled engine and its writer thread."""

from itertools import pairwise

import pytest

from shared.events import read_events
from shared.history import JobReader
from shared.job import AttemptEnd
from shared.ledger import ledger
from shared.times import microseconds, utc_now
from shared.volume import Volume
from tests.support.jobs import claim, learnable_frame, put_dataset, put_job, small_spec
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
    attempt = claim(job)
    ending = run(attempt, StopRequests(attempt, 60)).ending
    assert ending is not None
    assert ending.stop is not None
    end = AttemptEnd(outcome="finished", ended_at=utc_now(), ending=ending)
    attempt.close(end)
    job.settle(ending, attempt=1)

    history = JobReader(job).read_on()
    assert history is not None
    [read] = history.attempts
    moments = {event.type: microseconds(event.time) for _, event in read_events(attempt.events_file)}
    begun, ended = microseconds(read.claim.claimed_at), microseconds(end.ended_at)
    assert read.began == moments["engine"] >= moments["model"] >= moments["started"] >= begun
    assert (read.training_rows, read.resumed, read.from_attempt) == (len(learnable_frame()) * 4 // 5, None, None)
    epochs = history.epochs()
    assert [told.epoch for told in epochs] == list(range(1, ending.stop.last_epoch + 1))
    assert all(before.ended <= after.ended for before, after in pairwise(epochs))
    assert history.best_epoch() == ending.stop.best_epoch

    found = ledger(history, history.told())
    assert found.total == ended - begun
    assert found.part("start_up") >= moments["model"] - begun
    assert found.part("learning") > 0
    assert found.part("patience") > 0
    assert found.part("redone") == 0
    assert found.avoided_epochs == ending.stop.epochs_not_run > 0
