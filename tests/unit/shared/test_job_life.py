"""A job's whole life in any order of events, with any process dying between any two changes to the disk.

Hypothesis plays several workers, sweeps and clients on one volume. The death of its process may cut off each step.
Workers also act on what they saw long ago, and end attempts that are no longer theirs. If the volume is in a bucket,
each worker has its own folder and sees what others did only when it looks.
"""

import tempfile
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from shared.job import TERMINAL, JobError
from shared.job_folder import AttemptFolder
from shared.mirror.attached import refresh
from shared.open_job import OpenJob
from shared.settings import Settings
from shared.settling import settle_if_decided
from tests.unit.shared.crash import dying_at
from tests.unit.shared.records import claim, ending, finished, handed_back, record, train_to
from worker.supervisor.claim import Owner, claim_next, waiting_jobs
from worker.supervisor.outcome import failed_attempt, lost_attempt

SETTINGS = Settings(max_failures=2, max_losses=3, retry_backoff_seconds=0)
WORKERS = ("one", "two", "three")
NAMES = st.sampled_from(WORKERS)
# No step makes more than twelve changes for one job.
DEATH = st.none() | st.integers(1, 12)
HOWS = st.sampled_from(["succeeded", "failed", "cancelled", "handed back", "retry", "lost"])
PRIORITIES = st.sampled_from([0, 5, 9])
RECORD = record()
EXAMPLES_ON_BUCKET = 8

pytestmark = pytest.mark.both_stores


class Mine(NamedTuple):
    """An attempt as its worker has it, in one life of that worker."""

    worker: str
    life: int
    attempt: AttemptFolder


class JobLife(RuleBasedStateMachine):
    jobs = Bundle("jobs")
    attempts = Bundle("attempts")
    sights = Bundle("sights")

    def __init__(self, open_machines):
        super().__init__()
        self.open_machines = open_machines

    @initialize()
    def begin(self):
        self.folder = tempfile.TemporaryDirectory()
        self.machines = self.open_machines(Path(self.folder.name))
        self.workers = {name: self.machines.add() for name in WORKERS}
        self.lives = Counter()
        self.judge = self.machines.add_reader()
        self.results = {}
        self.order = []
        self.posted = 0
        self.saved_epochs = Counter()
        self.trained = set()

    def teardown(self):
        if hasattr(self, "folder"):
            self.machines.end()
            self.folder.cleanup()

    @contextmanager
    def may_die(self, worker, death):
        """Run a step of a worker, or of the API if `worker` is None, whose process may die in it."""
        with dying_at(death):
            yield
        if death is not None and self.machines.has_bucket:
            if worker is None:
                self.machines.die(self.machines.volume)
            else:
                self.workers[worker] = self.machines.die(self.workers[worker])
                self.lives[worker] += 1

    # What happens to a job

    @rule(target=jobs, priority=PRIORITIES, death=DEATH)
    def post(self, priority, death):
        spec = RECORD.spec.model_copy(update={"priority": priority})
        # Counted, not random: the same steps must give the same order and the same folders when they are run again.
        self.posted += 1
        what = RECORD.model_copy(update={"id": f"job_{self.posted:026}", "spec": spec})
        with self.may_die(None, death):
            self.machines.volume.store_job(what)
        if self.machines.volume.job(what.id) is None:
            return multiple()
        self.order.append((priority, what.id))
        return what.id

    @rule(worker=NAMES)
    def look_at_the_bucket(self, worker):
        self.machines.look(self.workers[worker])

    @rule()
    def let_the_api_look_at_the_bucket(self):
        self.machines.look(self.machines.volume)

    @rule(target=attempts, worker=NAMES, death=DEATH)
    def claim_first(self, worker, death):
        attempt = None
        with self.may_die(worker, death):
            attempt = claim_next(self.workers[worker], Owner(worker, "here", 1, 0, "CPU"))
        return multiple() if attempt is None else Mine(worker, self.lives[worker], attempt)

    @rule(target=sights, worker=NAMES, job=jobs)
    def look(self, worker, job):
        state = self.workers[worker].job_folder(job).state()
        return (worker, job, state) if state is not None and state.status == "queued" else multiple()

    @rule(target=attempts, sight=consumes(sights), death=DEATH)
    def claim_what_was_seen_long_ago(self, sight, death):
        worker, job_id, state = sight
        job = self.workers[worker].job_folder(job_id)
        attempt = None
        with self.may_die(worker, death):
            number = state.attempt.number + 1 if state.attempt else 1
            attempt = job.take(Owner(worker, "here", 1, 0, "CPU").claim(number))
            if attempt is not None:
                refresh(job.path)
                if job.result() is not None:
                    attempt.close(handed_back())
        return multiple() if attempt is None else Mine(worker, self.lives[worker], attempt)

    @rule(mine=attempts)
    def train_an_epoch(self, mine):
        attempt, job = mine.attempt, mine.attempt.job.id
        if (job, attempt.number) in self.trained or attempt.end() is not None or mine.life != self.lives[mine.worker]:
            return
        start = self.saved_epochs[job]
        train_to(attempt, start, start + 1)
        self.machines.upload(attempt.path)
        self.saved_epochs[job] += 1
        self.trained.add((job, attempt.number))

    @rule(mine=attempts, how=HOWS, death=DEATH)
    def end(self, mine, how, death):
        """End an attempt as a worker does after its child ended; it may be another's or have ended by now."""
        volume = self.workers[mine.worker]
        job = volume.job_folder(mine.attempt.job.id)
        attempt = AttemptFolder(job.attempts_folder / mine.attempt.path.name, mine.attempt.number)
        with self.may_die(mine.worker, death):
            refresh(attempt.job.path)
            if not attempt.claim_file.exists():
                return
            if how == "handed back":
                end = handed_back()
            elif how == "retry":
                end = failed_attempt(attempt, JobError(code="crash", message="crashed"), SETTINGS)
            elif how == "lost":
                end = lost_attempt(attempt, SETTINGS)
            else:
                end = finished(how)
            end_as_a_worker_does(volume, attempt, end)

    @rule(job=jobs, death=DEATH)
    def cancel(self, job, death):
        with self.may_die(None, death):
            folder = self.machines.volume.job_folder(job)
            if folder.result() is None:
                cancel_as_the_api_does(self.machines.volume, folder)

    @rule(sight=consumes(sights), death=DEATH)
    def settle_what_was_seen_long_ago(self, sight, death):
        worker, job, state = sight
        with self.may_die(worker, death):
            settle_if_decided(self.workers[worker].job_folder(job), state)

    @rule(worker=NAMES, death=DEATH)
    def sweep(self, worker, death):
        with self.may_die(worker, death):
            list(waiting_jobs(self.workers[worker]))

    @rule()
    def look_at_the_whole_queue(self):
        """Look without dying: every decision is recorded, and waiting jobs come in order."""
        self.machines.look(at_everything=True)
        volume = self.machines.volume
        waiting = [state.record.id for state in waiting_jobs(volume)]
        states = {job_id: volume.job(job_id).state() for _, job_id in self.order}
        assert waiting == [job_id for _, job_id in sorted(self.order) if states[job_id].status == "queued"]
        marked = {one.job_id for one in volume.open_jobs()}
        for job_id, state in states.items():
            assert (job_id in marked) == (state.status not in TERMINAL)
            decided = (state.end is not None and state.end.ending is not None) or (
                state.cancel is not None and state.status == "queued"
            )
            assert not (decided and state.result is None)

    # What is always true

    @invariant()
    def all_promises_are_kept(self):
        if not hasattr(self, "judge"):
            return
        self.machines.look(self.judge, at_everything=True)
        self.every_job_has_at_most_one_attempt_without_an_end_and_it_is_the_last()
        self.a_terminal_state_never_changes()
        self.a_job_without_a_result_is_marked()
        self.an_end_that_decided_is_what_the_result_says()
        self.a_job_fails_with_as_many_failures_or_losses_in_a_row_without_progress_as_it_may_have()

    def every_job_has_at_most_one_attempt_without_an_end_and_it_is_the_last(self):
        for job in self.all_jobs():
            attempts = job.attempts()
            assert [attempt.number for attempt in attempts] == list(range(1, len(attempts) + 1))
            assert [attempt.claim().attempt for attempt in attempts] == [attempt.number for attempt in attempts]
            running = [attempt.number for attempt in attempts if attempt.end() is None]
            assert running in ([], [len(attempts)])

    def a_terminal_state_never_changes(self):
        for job in self.all_jobs():
            if job.id in self.results:
                assert job.result_file.read_bytes() == self.results[job.id]
                assert job.state().status == job.result().ending.status
            elif job.result() is not None:
                self.results[job.id] = job.result_file.read_bytes()

    def a_job_without_a_result_is_marked(self):
        marked = {one.job_id for one in self.judge.open_jobs()}
        assert all(job.id in marked for job in self.all_jobs() if job.result() is None)

    def an_end_that_decided_is_what_the_result_says(self):
        for job in self.all_jobs():
            result = job.result()
            if result is not None and result.attempt is not None:
                assert job.attempts()[result.attempt - 1].end().ending == result.ending

    def a_job_fails_with_as_many_failures_or_losses_in_a_row_without_progress_as_it_may_have(self):
        for job in self.all_jobs():
            failures = losses = 0
            for end in (attempt.end() for attempt in job.attempts()):
                if end is None:
                    continue
                has_progress = end.has_progress
                failures, losses = (0, 0) if has_progress else (failures + end.is_failure, losses + end.is_loss)
                if end.outcome == "failed":
                    assert (end.ending is not None) == (failures == SETTINGS.max_failures)
                if end.outcome == "lost":
                    assert (end.ending is not None) == (losses == SETTINGS.max_losses)

    def all_jobs(self):
        return [self.judge.job_folder(job_id) for _, job_id in self.order]


def test_whatever_happens_in_any_order_no_job_is_lost_doubled_or_changed(open_machines, store_kind):
    examples = 100 if store_kind == "folder" else EXAMPLES_ON_BUCKET
    how = settings(max_examples=examples, stateful_step_count=25, suppress_health_check=[HealthCheck.too_slow])
    run_state_machine_as_test(lambda: JobLife(open_machines), settings=how)


# Single steps, each cut off at each of its changes in turn


def end_as_a_worker_does(volume, attempt, end):
    if attempt.close(end) and end.ending is not None:
        attempt.job.settle(end.ending, attempt.number)
        volume.close_job(OpenJob(attempt.job.record().spec.priority, attempt.job.id))


def cancel_as_the_api_does(volume, job):
    job.request_cancel()
    state = job.state()
    if state.status == "queued" and job.settle(ending("cancelled"), None):
        volume.close_job(OpenJob(state.record.spec.priority, job.id))


def is_marked(volume, job):
    return job.id in {one.job_id for one in volume.open_jobs()}


@pytest.mark.parametrize("change", range(1, 13))
def test_an_attempt_whose_worker_dies_while_it_writes_the_end_is_running_or_gets_its_result(volume, machines, change):
    job = volume.store_job(RECORD)
    worker = machines.add()
    attempt = worker.job_folder(job.id).take(claim(1))
    with dying_at(change):
        end_as_a_worker_does(worker, attempt, finished("succeeded"))
    machines.lose(worker)
    machines.look(at_everything=True)
    [attempt] = job.attempts()
    assert job.result() is not None or is_marked(volume, job)
    assert list(waiting_jobs(volume)) == []
    assert job.state().status == ("running" if attempt.end() is None else "succeeded")
    assert is_marked(volume, job) == (job.result() is None)


@pytest.mark.parametrize("change", range(1, 13))
def test_a_cancel_that_is_cut_off_after_its_wish_still_ends_the_job(volume, machines, change):
    job = volume.store_job(RECORD)
    with dying_at(change):
        cancel_as_the_api_does(volume, job)
    volume = machines.die(volume)
    assert job.result() is not None or is_marked(volume, job)
    wished = job.cancel() is not None
    assert [state.record.id for state in waiting_jobs(volume)] == ([] if wished else [job.id])
    assert job.state().status == ("cancelled" if wished else "queued")
    assert is_marked(volume, job) == (not wished)


@pytest.mark.parametrize("change", range(1, 9))
@pytest.mark.parametrize("decided_by", ["an end", "a cancel"])
def test_a_sweep_that_dies_while_it_settles_a_job_leaves_it_to_the_next_one(volume, machines, change, decided_by):
    job = volume.store_job(RECORD)
    if decided_by == "an end":
        job.take(claim(1)).close(finished("failed"))
    else:
        job.request_cancel()
    worker = machines.add()
    with dying_at(change):
        list(waiting_jobs(worker))
    machines.lose(worker)
    machines.look(at_everything=True)
    assert job.result() is not None or is_marked(volume, job)
    assert list(waiting_jobs(volume)) == []
    assert job.state().status == ("failed" if decided_by == "an end" else "cancelled")
    assert not is_marked(volume, job)


def test_nobody_can_claim_an_attempt_that_is_running_however_long_ago_they_looked(volume, machines):
    taker = volume.store_job(RECORD)
    job = machines.add().job_folder(taker.id)
    seen = job.state()
    assert taker.take(claim(1)) is not None
    assert seen.attempt is None
    assert job.take(claim(1)) is None
    assert job.take(claim(2)) is None
