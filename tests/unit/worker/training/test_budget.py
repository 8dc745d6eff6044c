"""A job's budget ends it in time, over all its attempts, and is named as the reason."""

import time
from typing import Any

import pytest

from shared.job import AttemptEnd, Claim, Conclusion, Stop, SweepShare
from shared.job_folder import AttemptFolder, JobFolder
from shared.job_share import give_share, read_share
from shared.spec import Budget
from shared.times import seconds_until, time_in
from shared.volume import Volume
from tests.support.jobs import learnable_frame, put_dataset, put_job, small_spec
from tests.support.waiting import wait_for
from worker.training import budget
from worker.training.budget import BudgetWatch
from worker.training.callbacks.budget import StopWithinBudget
from worker.training.errors import BudgetUsedUp
from worker.training.run import run
from worker.training.stop_requests import StopRequests


@pytest.fixture
def job(volume: Volume) -> JobFolder:
    put_dataset(volume, learnable_frame())
    return put_job(volume, small_spec())


def claimed(job: JobFolder, number: int = 1, price: float | None = None, wall: float = 0) -> AttemptFolder:
    """Claim an attempt now; `wall`: how far its host's wall clock is ahead, in seconds."""
    attempt = job.take(
        Claim(
            attempt=number, owner="w", host="here", pid=1, slot=0, device="CPU", claimed_at=time_in(wall),
            gpu_price_per_hour=price, currency="EUR" if price is not None else None,
        )
    )  # fmt: skip
    assert attempt is not None
    return attempt


def concluded(attempt: AttemptFolder) -> tuple[Conclusion, Stop]:
    conclusion = run(attempt, StopRequests(attempt, 60))
    assert conclusion.ending is not None
    assert conclusion.ending.stop is not None
    return conclusion, conclusion.ending.stop


def test_what_earlier_attempts_held_is_used_up_and_the_queue_between_them_is_not(job: JobFolder) -> None:
    day = 86_400
    claimed(job, 1, wall=day).close(AttemptEnd(outcome="lost", ended_at=time_in(2 * day), held_seconds=10))
    watch = BudgetWatch(claimed(job, 2, wall=-day), Budget(max_gpu_seconds=30), time.monotonic() - 5)
    watch.check(seconds_needed=5)
    with pytest.raises(BudgetUsedUp) as used_up:
        watch.check(seconds_needed=16)
    assert used_up.value.used.used == pytest.approx(15, abs=1)


def test_the_cost_is_that_of_the_claims_price(job: JobFolder) -> None:
    watch = BudgetWatch(claimed(job, price=360), Budget(max_cost=1.5), time.monotonic() - 10)
    watch.check()
    with pytest.raises(BudgetUsedUp) as used_up:
        watch.check(seconds_needed=6)
    assert (used_up.value.used.kind, used_up.value.used.currency) == ("max_cost", "EUR")


def test_without_a_limit_nothing_is_ever_used_up(job: JobFolder) -> None:
    BudgetWatch(claimed(job), None, time.monotonic() - 1e6).check(1e9)


def test_a_trial_stops_at_its_share_and_says_whose_budget_it_was(job: JobFolder) -> None:
    give_share(job, 1, SweepShare(sweep="sweep_1", budget=Budget(max_gpu_seconds=30)))
    watch = BudgetWatch(claimed(job), Budget(max_gpu_seconds=100), time.monotonic() - 20)
    watch.check(seconds_needed=5)
    with pytest.raises(BudgetUsedUp) as used_up:
        watch.check(seconds_needed=11)
    assert (used_up.value.used.limit, used_up.value.used.sweep) == (30, "sweep_1")


def test_a_share_that_was_raised_while_the_trial_runs_counts(job: JobFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    give_share(job, 1, SweepShare(sweep="sweep_1", budget=Budget(max_gpu_seconds=30)))
    watch = BudgetWatch(claimed(job), None, 980.0)
    give_share(job, 2, SweepShare(sweep="sweep_1", budget=Budget(max_gpu_seconds=50)))
    now[0] += 1
    watch.check(seconds_needed=11)
    with pytest.raises(BudgetUsedUp) as used_up:
        watch.check(seconds_needed=31)
    assert used_up.value.used.limit == 50


def test_a_trial_heeds_a_share_that_it_is_given_while_it_runs_and_asks_seldom(
    job: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, reads = [1000.0], []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(budget, "read_share", lambda job: (reads.append(now[0]), read_share(job))[1])
    attempt = claimed(job)
    watch = BudgetWatch(attempt, None, 980.0, is_trial=True)
    alone = BudgetWatch(attempt, None, 980.0)
    for _ in range(100):
        now[0] += 0.1
        watch.check()
        alone.check()
    assert len(reads) <= 2 + 5
    give_share(job, 1, SweepShare(sweep="sweep_1", budget=Budget(max_gpu_seconds=30)))
    now[0] += 2
    with pytest.raises(BudgetUsedUp):
        watch.check()


@pytest.mark.parametrize("share", [None, 30])
def test_of_the_time_after_the_limit_the_running_batch_alone_is_charged(
    job: JobFolder, monkeypatch: pytest.MonkeyPatch, share: float | None
) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    if share is not None:
        give_share(job, 1, SweepShare(sweep="sweep_1", budget=Budget(max_gpu_seconds=share)))
    watch = BudgetWatch(claimed(job), None if share else Budget(max_gpu_seconds=30, deadline=time_in(-5)), now[0])
    now[0] += 20
    watch.batch_done(now[0])
    assert watch.charged_seconds() == 20
    now[0] += 9
    assert watch.charged_seconds() == 29, "saving is charged"
    now[0] += 60
    assert watch.charged_seconds() == 30, "but not after the limit"
    watch.batch_done(now[0])
    now[0] += 60
    assert watch.charged_seconds() == 89


def test_an_attempt_for_which_nothing_was_left_is_charged_nothing(
    job: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    claimed(job, 1).close(AttemptEnd(outcome="lost", ended_at=time_in(0), held_seconds=40))
    watch = BudgetWatch(claimed(job, 2, price=3600), Budget(max_cost=35), 1000.0)
    now[0] += 3
    assert watch.charged_seconds() == 0


def test_before_a_deadline_alone_a_process_needs_time_to_leave(job: JobFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.training.budget._LEAVING_SECONDS", 1000)
    attempt, now = claimed(job), time.monotonic()
    BudgetWatch(attempt, Budget(max_gpu_seconds=500), now).check()
    with pytest.raises(BudgetUsedUp):
        BudgetWatch(attempt, Budget(deadline=time_in(500)), now).check()


class Needs:
    """Stand-in for the budget that records the seconds that were asked for and when batches were done."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.batches: list[float] = []

    def check(self, seconds_needed: float = 0.0) -> None:
        self.asked.append(seconds_needed)

    def batch_done(self, moment: float) -> None:
        self.batches.append(moment)


def test_enough_is_kept_for_another_step_or_validation_like_the_last_and_for_writing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    needs: Any = Needs()
    stopping = StopWithinBudget(needs, lambda writes: 10.0 * writes)
    stopping.on_epoch_begin(0)
    now[0] += 3
    stopping.steps_done(1, {})
    stopping.on_test_begin()
    now[0] += 20
    stopping.on_test_end()
    stopping.on_epoch_begin(1)
    stopping.on_test_begin()
    assert needs.asked == pytest.approx([13, 20, 40])
    assert needs.batches == [103]


def test_a_job_that_may_cost_so_much_fails_where_the_worker_knows_no_price_and_may_find_another(
    volume: Volume, job: JobFolder
) -> None:
    priced = put_job(volume, small_spec(budget={"max_cost": 2}))
    conclusion, _ = concluded(claimed(priced))
    assert conclusion.ending is not None
    assert conclusion.ending.error is not None
    assert (conclusion.ending.status, conclusion.ending.error.code, conclusion.may_retry) == (
        "failed",
        "no_price",
        True,
    )
    assert "FITSTOP_GPU_PRICE_PER_HOUR" in conclusion.ending.error.message


def test_a_job_whose_deadline_passed_in_the_queue_fails_at_once_and_says_why(volume: Volume, job: JobFolder) -> None:
    deadline = time_in(0.3)
    late = put_job(volume, small_spec(budget={"deadline": deadline}))
    wait_for(lambda: seconds_until(deadline) <= 0)
    conclusion, stop = concluded(claimed(late))
    assert conclusion.ending is not None
    assert conclusion.ending.error is not None
    assert (conclusion.ending.status, conclusion.ending.error.code) == ("failed", "budget_too_small")
    assert (stop.reason, stop.last_epoch, stop.epochs_not_run) == ("budget", 0, 4)
    assert stop.budget is not None
    assert stop.budget.kind == "deadline"
    assert not late.attempts()[0].preprocessing_file.exists(), "the data was read for nothing"


def test_an_attempt_that_finds_the_budget_used_up_concludes_with_what_the_one_before_it_had(
    volume: Volume, job: JobFolder
) -> None:
    limited = put_job(volume, small_spec(budget={"max_gpu_seconds": 600}))
    first = claimed(limited)
    _, before = concluded(first)
    first.close(AttemptEnd(outcome="lost", ended_at=time_in(0), held_seconds=600))
    conclusion, stop = concluded(claimed(limited, 2))
    assert conclusion.ending is not None
    assert (conclusion.ending.status, conclusion.ending.error) == ("succeeded", None)
    assert stop.budget is not None
    assert stop.budget.used == pytest.approx(600, abs=60)
    assert stop.model_copy(update={"reason": "epochs_completed", "budget": None}) == before
