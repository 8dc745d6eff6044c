"""A job's whole life in any order of events, with any process dying between any two changes to the disk.

Hypothesis plays several workers, sweeps and clients on one volume. Each step may be cut off by the death of its
process; workers also act on what they saw long ago, and end attempts that are no longer theirs.
"""

import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from shared.job import TERMINAL, JobError
from shared.open_job import OpenJob
from shared.settings import Settings
from shared.settling import settle_if_decided
from shared.volume import Volume
from tests.unit.shared.crash import dying_at
from tests.unit.shared.records import claim, ending, finished, handed_back, record, train_to
from worker.supervisor.claim import Owner, claim_next, waiting_jobs
from worker.supervisor.outcome import failed_attempt, lost_attempt

SETTINGS = Settings(max_failures=2, max_losses=3, retry_backoff_seconds=0)
OWNERS = st.sampled_from([Owner(name, "here", 1, 0, "CPU") for name in ("one", "two", "three")])
# No step makes more than twelve changes for one job.
DEATH = st.none() | st.integers(1, 12)
HOWS = st.sampled_from(["succeeded", "failed", "cancelled", "handed back", "retry", "lost"])
PRIORITIES = st.sampled_from([0, 5, 9])
RECORD = record()


class JobLife(RuleBasedStateMachine):
    jobs = Bundle("jobs")
    attempts = Bundle("attempts")
    sights = Bundle("sights")

    @initialize()
    def begin(self):
        self.folder = tempfile.TemporaryDirectory()
        self.volume = Volume(Path(self.folder.name))
        self.results = {}
        self.order = []
        self.posted = 0
        self.saved_epochs = Counter()

    def teardown(self):
        if hasattr(self, "folder"):
            self.folder.cleanup()

    # What happens to a job

    @rule(target=jobs, priority=PRIORITIES, death=DEATH)
    def post(self, priority, death):
        spec = RECORD.spec.model_copy(update={"priority": priority})
        # Counted, not drawn anew: the same steps must find the same order and the same folders when they are run again.
        self.posted += 1
        what = RECORD.model_copy(update={"id": f"job_{self.posted:026}", "spec": spec})
        with dying_at(death):
            self.volume.store_job(what)
        job = self.volume.job(what.id)
        if job is None:
            return multiple()
        self.order.append((priority, job.id))
        return job

    @rule(target=attempts, owner=OWNERS, death=DEATH)
    def claim_first(self, owner, death):
        attempt = None
        with dying_at(death):
            attempt = claim_next(self.volume, owner)
        return multiple() if attempt is None else attempt

    @rule(target=sights, job=jobs)
    def look(self, job):
        state = job.state()
        return (job, state) if state.status == "queued" else multiple()

    @rule(target=attempts, sight=consumes(sights), owner=OWNERS, death=DEATH)
    def claim_what_was_seen_long_ago(self, sight, owner, death):
        job, state = sight
        attempt = None
        with dying_at(death):
            attempt = job.take(owner.claim(state.attempt.number + 1 if state.attempt else 1))
            if attempt is not None and job.result() is not None:
                attempt.close(handed_back())
        return multiple() if attempt is None else attempt

    @rule(attempt=attempts)
    def train_an_epoch(self, attempt):
        if attempt.end() is None and not attempt.resume.exists():
            start = self.saved_epochs[attempt.job.id]
            train_to(attempt, start, start + 1)
            self.saved_epochs[attempt.job.id] += 1

    @rule(attempt=attempts, how=HOWS, death=DEATH)
    def end(self, attempt, how, death):
        """What a worker does when its child ended; the attempt may be another's or over by now."""
        if how == "handed back":
            end = handed_back()
        elif how == "retry":
            end = failed_attempt(attempt, JobError(code="crash", message="crashed"), SETTINGS)
        elif how == "lost":
            end = lost_attempt(attempt, SETTINGS)
        else:
            end = finished(how)
        with dying_at(death):
            end_as_a_worker_does(self.volume, attempt, end)

    @rule(job=jobs, death=DEATH)
    def cancel(self, job, death):
        with dying_at(death):
            if job.result() is None:
                cancel_as_the_api_does(self.volume, job)

    @rule(sight=consumes(sights), death=DEATH)
    def settle_what_was_seen_long_ago(self, sight, death):
        job, state = sight
        with dying_at(death):
            settle_if_decided(job, state)

    @rule(death=DEATH)
    def sweep(self, death):
        with dying_at(death):
            list(waiting_jobs(self.volume))

    @rule()
    def look_at_the_whole_queue(self):
        """A sweep that lives: everything decided is written down, and those who wait come in order."""
        waiting = [state.record.id for state in waiting_jobs(self.volume)]
        states = {job_id: self.volume.job(job_id).state() for _, job_id in self.order}
        assert waiting == [job_id for _, job_id in sorted(self.order) if states[job_id].status == "queued"]
        marked = {one.job_id for one in self.volume.open_jobs()}
        for job_id, state in states.items():
            assert (job_id in marked) == (state.status not in TERMINAL)
            decided = (state.end is not None and state.end.ending is not None) or (
                state.cancel is not None and state.status == "queued"
            )
            assert not (decided and state.result is None)

    # What is always true

    @invariant()
    def every_job_has_at_most_one_attempt_without_an_end_and_it_is_the_last(self):
        for job in self.all_jobs():
            attempts = job.attempts()
            assert [attempt.number for attempt in attempts] == list(range(1, len(attempts) + 1))
            assert [attempt.claim().attempt for attempt in attempts] == [attempt.number for attempt in attempts]
            running = [attempt.number for attempt in attempts if attempt.end() is None]
            assert running in ([], [len(attempts)])

    @invariant()
    def a_terminal_state_never_changes(self):
        for job in self.all_jobs():
            if job.id in self.results:
                assert job.result_file.read_bytes() == self.results[job.id]
                assert job.state().status == job.result().ending.status
            elif job.result() is not None:
                self.results[job.id] = job.result_file.read_bytes()

    @invariant()
    def a_job_without_a_result_is_marked(self):
        marked = {one.job_id for one in self.volume.open_jobs()} if self.all_jobs() else set()
        assert all(job.id in marked for job in self.all_jobs() if job.result() is None)

    @invariant()
    def an_end_that_decided_is_what_the_result_says(self):
        for job in self.all_jobs():
            result = job.result()
            if result is not None and result.attempt is not None:
                assert job.attempts()[result.attempt - 1].end().ending == result.ending

    @invariant()
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
        return [self.volume.job_folder(job_id) for _, job_id in getattr(self, "order", [])]


TestJobLife = JobLife.TestCase
TestJobLife.settings = settings(
    max_examples=100, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


# One step each, cut off at each of its changes in turn


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
def test_an_attempt_whose_worker_dies_while_it_writes_the_end_is_running_or_gets_its_result(volume, change):
    job = volume.store_job(RECORD)
    attempt = job.take(claim(1))
    with dying_at(change):
        end_as_a_worker_does(volume, attempt, finished("succeeded"))
    assert job.result() is not None or is_marked(volume, job)
    assert list(waiting_jobs(volume)) == []
    assert job.state().status == ("running" if attempt.end() is None else "succeeded")
    assert is_marked(volume, job) == (job.result() is None)


@pytest.mark.parametrize("change", range(1, 13))
def test_a_cancel_that_is_cut_off_after_its_wish_still_ends_the_job(volume, change):
    job = volume.store_job(RECORD)
    with dying_at(change):
        cancel_as_the_api_does(volume, job)
    assert job.result() is not None or is_marked(volume, job)
    wished = job.cancel() is not None
    assert [state.record.id for state in waiting_jobs(volume)] == ([] if wished else [job.id])
    assert job.state().status == ("cancelled" if wished else "queued")
    assert is_marked(volume, job) == (not wished)


@pytest.mark.parametrize("change", range(1, 9))
@pytest.mark.parametrize("decided_by", ["an end", "a cancel"])
def test_a_sweep_that_dies_while_it_settles_a_job_leaves_it_to_the_next_one(volume, change, decided_by):
    job = volume.store_job(RECORD)
    if decided_by == "an end":
        job.take(claim(1)).close(finished("failed"))
    else:
        job.request_cancel()
    with dying_at(change):
        list(waiting_jobs(volume))
    assert job.result() is not None or is_marked(volume, job)
    assert list(waiting_jobs(volume)) == []
    assert job.state().status == ("failed" if decided_by == "an end" else "cancelled")
    assert not is_marked(volume, job)


def test_nobody_can_claim_an_attempt_that_is_running_however_long_ago_they_looked(volume):
    job = volume.store_job(RECORD)
    seen = job.state()
    assert job.take(claim(1)) is not None
    assert seen.attempt is None
    assert job.take(claim(1)) is None
    assert job.take(claim(2)) is None
