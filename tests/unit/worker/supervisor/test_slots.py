"""A worker's own process, without Celery."""

import os
import shutil
import signal

import pytest

from shared.job import AttemptEnd, JobError
from shared.settings import Settings
from shared.times import time_in, utc_now
from shared.worker_card import WorkerCard
from tests.support.waiting import wait_for
from tests.unit.shared.records import posted, posted_program, taken
from worker.machine.sandbox_trial import SandboxTrial
from worker.supervisor.attempt import AttemptRun
from worker.supervisor.claim import Owner
from worker.supervisor.gate import _listen_again
from worker.supervisor.outcome import failed_attempt
from worker.supervisor.slots import Leaving, Worker

ONE = Settings(max_failures=1, max_losses=1)


class FakeQueue:
    def __init__(self):
        self.notified = []

    def notify(self, job_id):
        self.notified.append(job_id)
        return True

    def count_pending(self):
        return None


class DeadChild:
    """A child that ends without reporting that it has begun."""

    pid = None
    has_begun = False

    def begin(self, _attempt, _environment):
        self.has_begun = True

    def has_ended(self, _seconds):
        return True

    def newest_pulse(self):
        return None

    def exit_code(self):
        return 1

    def close(self):
        pass


class EmptyNursery:
    child_start = "spawn"
    sickness = ""
    is_beyond_help = False
    has_forgotten = False

    def __init__(self):
        self.child = DeadChild()
        self.doubts, self.returned = [], []

    def take(self, _drain):
        return self.child

    def put_back(self, child):
        self.returned.append(child)

    def distrust(self, reason):
        self.doubts.append(reason)

    def forget_programs(self):
        self.has_forgotten = True


def test_a_worker_that_appears_takes_away_the_cards_of_those_that_nobody_has_seen_for_a_day(volume):
    facts = {"host": "here", "pid": 1, "device": "CPU", "slots": 1, "child_start": "spawn", "ready": True}
    for name, seconds in (("long gone", 90_000), ("just lost", 80_000)):
        seen_at = time_in(-seconds)
        card = WorkerCard(worker=name, draining=False, running=(), started_at=seen_at, seen_at=seen_at, **facts)
        volume.show_worker(card)
    worker = Worker(Settings(), volume, FakeQueue(), EmptyNursery())
    worker.appear()
    wait_for(lambda: {card.worker for card in volume.worker_cards()} == {"just lost", worker.name})
    worker._gone.set()


def test_a_card_that_cannot_be_written_keeps_no_attempt_from_its_beginning_and_its_end(volume):
    job = posted(volume)
    job_queue = FakeQueue()
    worker = Worker(Settings(retry_backoff_seconds=60), volume, job_queue, EmptyNursery())
    shutil.rmtree(volume.workers)
    worker.begin()
    worker.run_next()
    worker._gone.set()
    (attempt,) = job.attempts()
    assert attempt.end().error.code == "no_child"


@pytest.mark.parametrize(("code", "forgets"), [("crash", True), ("killed", False)])
def test_only_after_an_attempt_that_failed_no_kept_program_is_trusted(volume, monkeypatch, code, forgets):
    posted(volume)
    nursery = EmptyNursery()
    error = JobError(code=code, message="")
    monkeypatch.setattr(AttemptRun, "run", lambda run, _: run._attempt.close(failed_attempt(run._attempt, error, ONE)))
    worker = Worker(Settings(retry_backoff_seconds=60), volume, FakeQueue(), nursery)
    worker.begin()
    worker.run_next()
    worker._gone.set()
    assert nursery.has_forgotten == forgets


def test_a_slot_goes_on_with_the_next_job_in_order_without_a_notification_and_then_says_that_it_is_free(volume):
    jobs = [posted(volume), posted(volume)]
    worker = Worker(Settings(retry_backoff_seconds=60), volume, FakeQueue(), EmptyNursery())
    freed = []
    worker.when_free(lambda: freed.append([len(job.attempts()) for job in jobs]))
    worker.begin()
    worker.run_next()
    worker._gone.set()
    assert freed == [[1, 1]]


def test_a_job_on_more_devices_than_a_slot_holds_takes_several_slots_with_their_cards(volume, monkeypatch):
    job, seen = posted(volume, devices=3), []

    def run(attempt_run, _):
        (card,) = volume.worker_cards()
        seen.append(([(one.slot, one.devices) for one in card.running], attempt_run._cards))
        attempt_run._attempt.close(failed_attempt(attempt_run._attempt, JobError(code="crash", message=""), ONE))

    monkeypatch.setattr(AttemptRun, "run", run)
    worker = Worker(Settings(slots=4, slot_devices=2), volume, FakeQueue(), EmptyNursery())
    worker.slots.cards = tuple("01234567")
    worker.begin()
    worker.run_next()
    worker._gone.set()
    ((running, cards),) = seen
    assert (running, cards) == ([(0, 3), (1, 3)], ("0", "1", "2", "3"))
    claim = job.attempts()[0].claim()
    assert (claim.slot, claim.devices) == (0, 3)
    assert worker.slots.running() == ()


def test_free_slots_are_kept_for_the_first_job_until_they_suffice_or_it_is_cancelled(volume):
    job_queue = FakeQueue()
    worker = Worker(Settings(slots=2), volume, job_queue, EmptyNursery())
    worker.begin()
    (slot,) = worker.slots.take(taken(posted(volume)), 1)
    assert slot == 0
    wide, narrow = posted(volume, devices=2), posted(volume)
    worker.run_next()
    worker._look_at_kept_slots()
    worker._show_card()
    (card,) = volume.worker_cards()
    assert (card.kept_for, card.ready, card.most_devices) == (wide.id, False, 2)
    assert (wide.attempts(), narrow.attempts(), job_queue.notified) == ([], [], [])
    wide.request_cancel()
    worker._look_at_kept_slots()
    assert job_queue.notified == [narrow.id]
    worker.run_next()
    worker._gone.set()
    assert (wide.attempts(), len(narrow.attempts())) == ([], 1)


def test_a_worker_that_drains_claims_nothing(volume):
    job = posted(volume)
    worker = Worker(Settings(), volume, FakeQueue(), EmptyNursery())
    worker.begin()
    worker.drain.set()
    worker.run_next()
    worker._gone.set()
    assert job.attempts() == []


def test_a_worker_hears_again_as_soon_as_celery_has_counted_its_task_as_done():
    turns = []

    class Hub:
        def call_later(self, _seconds, call, *arguments):
            turns.append("turn")
            call(*arguments)

    class Qos:
        answers = iter([False, False, True])

        def can_consume(self):
            return next(self.answers)

    _listen_again(Hub(), Qos())
    assert turns == ["turn", "turn"]


def test_a_worker_that_stood_still_between_its_claim_and_its_first_beat_starts_no_child(volume, monkeypatch):
    job = posted(volume)
    nursery = EmptyNursery()
    worker = Worker(Settings(), volume, FakeQueue(), nursery)
    worker.begin()
    true_claim = Owner.claim

    def claimed_long_ago(owner, number, devices):
        claim = true_claim(owner, number, devices)
        owner.claiming_since -= 25
        return claim

    monkeypatch.setattr(Owner, "claim", claimed_long_ago)
    worker.run_next()
    worker._gone.set()
    (attempt,) = job.attempts()
    assert (nursery.child.has_begun, attempt.end()) == (False, None), "others end it"


def test_a_child_is_put_back_where_there_is_no_job_or_the_volume_cannot_be_read(volume, monkeypatch):
    nursery = EmptyNursery()
    worker = Worker(Settings(), volume, FakeQueue(), nursery)
    worker.begin()
    worker.run_next()
    assert nursery.returned == [nursery.child]

    def refuse(*_, **__):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("worker.supervisor.slots.claim_next", refuse)
    worker.run_next()
    worker._gone.set()
    assert nursery.returned == [nursery.child] * 2


def test_a_worker_that_has_no_child_claims_nothing(volume, monkeypatch):
    job = posted(volume)
    monkeypatch.setattr(EmptyNursery, "take", lambda *_: None)
    worker = Worker(Settings(), volume, FakeQueue(), EmptyNursery())
    worker.begin()
    worker.run_next()
    worker._gone.set()
    assert job.attempts() == []


def test_what_a_child_leaves_that_never_began_is_handed_back_counts_nothing_and_the_worker_doubts_its_children(volume):
    job = posted(volume)
    nursery = EmptyNursery()
    worker = Worker(Settings(retry_backoff_seconds=60), volume, FakeQueue(), nursery)
    worker.begin()
    worker.run_next()
    worker._gone.set()
    end = job.attempts()[0].end()
    assert (end.outcome, end.is_failure, end.error.code, end.ending) == ("handed_back", False, "no_child", None)
    assert nursery.doubts == ["the worker's training process ended with status 1, before it read the job"]
    assert not nursery.has_forgotten


@pytest.mark.parametrize("code", ["worker_disk_full", "worker_disk_error"])
def test_after_an_attempt_that_failed_on_the_local_disk_the_worker_is_unfit_and_says_why(volume, code):
    worker = Worker(Settings(), volume, FakeQueue(), EmptyNursery())
    worker._ready = True
    assert worker.may_take()
    worker._heed(JobError(code=code, message="a local disk of the worker's machine is full"))
    assert not worker.may_take()
    worker._show_card()
    assert [(card.ready, card.unfit) for card in volume.worker_cards()] == [
        (False, "a local disk of the worker's machine is full")
    ]


def test_a_worker_leaves_when_it_is_beyond_help_but_not_while_a_job_runs(volume, monkeypatch):
    nursery = EmptyNursery()
    nursery.is_beyond_help = True
    worker = Worker(Settings(), volume, FakeQueue(), nursery)
    killed = []
    monkeypatch.setattr("os.kill", lambda *sent: killed.append(sent))
    slots = worker.slots.take(posted(volume).take(Owner("one", "here", 1, 0, "CPU").claim(1)), 1)
    worker._look_at_itself()
    assert (worker.leaving, killed) == (None, [])
    worker.slots.release(slots)
    worker._look_at_itself()
    assert (worker.leaving, killed) == (Leaving.SICK, [(os.getpid(), signal.SIGTERM)])


@pytest.mark.parametrize("code", ["no_box", "no_child", "volume_full", "volume_error", "worker_disk_full"])
def test_what_a_program_says_of_its_worker_is_a_reason_to_look_and_no_more(volume, monkeypatch, code):
    monkeypatch.setattr("worker.supervisor.programs.try_sandbox", SandboxTrial)
    worker = Worker(Settings(allow_code="boxed"), volume, FakeQueue(), EmptyNursery())
    worker._ready, worker.no_programs = True, ""
    attempt = taken(posted_program(volume))
    error = JobError(code=code, message="forged")
    attempt.close(AttemptEnd(outcome="handed_back", ended_at=utc_now(), error=error))
    worker._look_back(attempt)
    assert worker.may_take()
    assert worker.no_programs == ""


def test_a_worker_whose_sandbox_is_open_by_now_takes_no_programs_any_more(volume, monkeypatch):
    monkeypatch.setattr("worker.supervisor.programs.try_sandbox", lambda: SandboxTrial(openings="files: no Landlock"))
    worker = Worker(Settings(allow_code="boxed"), volume, FakeQueue(), EmptyNursery())
    worker._look_after_program(
        AttemptEnd(outcome="handed_back", ended_at=utc_now(), error=JobError(code="no_box", message=""))
    )
    assert "no Landlock" in worker.no_programs
