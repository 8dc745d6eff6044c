"""A trial that its sweep stops ends with the evidence and its best model, and can be continued."""

import pytest

from shared.events import read_events
from shared.explain import explain
from shared.history import JobReader
from shared.job import BudgetUsed, Outclassed, StopRequest
from shared.job_folder import JobFolder
from shared.ledger import ledger
from shared.points import place_of, points_of
from shared.times import utc_now
from shared.volume import Volume
from tests.support.jobs import claim, learnable_frame, put_dataset, put_job, small_spec
from worker.training.callbacks.epoch_reporter import EpochReporter
from worker.training.run import run
from worker.training.stop_requests import StopRequests

EVIDENCE = Outclassed(
    rule="forecast", monitor="val_accuracy", epoch=2, value=0.5, to_beat=0.8, trials=7, best_trial=3, chance=0.012,
    min_chance=0.05,
)  # fmt: skip


@pytest.fixture
def job(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> JobFolder:
    """A job of 50 epochs that looks for requests at each batch."""
    put_dataset(volume, learnable_frame())
    monkeypatch.setattr("worker.training.stop_requests._LOOK_SECONDS", 0.0)
    return put_job(volume, small_spec(hyperparameters={"epochs": 50, "batch_size": 32}))


def stop_after_two_epochs(job: JobFolder, request: StopRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    told = EpochReporter.on_epoch_end

    def tell(self: EpochReporter, epoch: int, logs: object = None) -> None:
        told(self, epoch, logs)  # type: ignore[arg-type]
        if epoch == 1:
            job.request_stop(request)

    monkeypatch.setattr(EpochReporter, "on_epoch_end", tell)


def test_a_trial_that_cannot_win_keeps_its_evidence_its_model_and_a_place_to_continue(
    job: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_after_two_epochs(job, StopRequest(requested_at=utc_now(), outclassed=EVIDENCE), monkeypatch)
    attempt = claim(job)
    ending = run(attempt, StopRequests(attempt, 60)).ending
    assert ending is not None
    assert ending.stop is not None
    assert (ending.status, ending.stop.reason, ending.stop.outclassed) == ("succeeded", "outclassed", EVIDENCE)
    assert (ending.stop.last_epoch, ending.stop.epochs_not_run) == (2, 48)
    assert ending.stop.best is not None
    assert place_of(points_of(attempt)[0]).epochs == 2
    (event,) = [event for _, event in read_events(attempt.events_file) if event.type == "stop"]
    assert event.data["outclassed"]["chance"] == 0.012
    assert "1.2 %" in event.message
    job.settle(ending, 1)
    _check_words(job)


def _check_words(job: JobFolder) -> None:
    state, history = job.state(), JobReader(job).read_on()
    assert state is not None
    assert history is not None
    words = " ".join(explain(state, None, None))
    assert "Its sweep stopped it after epoch 2: its chance to beat trial 3 (val_accuracy 0.8) was 1.2 %" in words
    assert "It can be extended." in words
    assert ledger(history).avoided_epochs == 48


def test_a_trial_of_a_sweep_whose_budget_is_used_up_saves_and_says_whose_budget_it_was(
    job: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = BudgetUsed(kind="max_gpu_seconds", limit=100, used=99.5, sweep="sweep_1")
    stop_after_two_epochs(job, StopRequest(requested_at=utc_now(), budget=used), monkeypatch)
    attempt = claim(job)
    ending = run(attempt, StopRequests(attempt, 60)).ending
    assert ending is not None
    assert ending.stop is not None
    assert (ending.status, ending.stop.reason, ending.stop.budget) == ("succeeded", "budget", used)
    assert points_of(attempt)
