"""A worker's own process, without Celery."""

import shutil

import pytest

from shared.job import JobError
from shared.settings import Settings
from shared.times import time_in
from shared.worker_card import WorkerCard
from tests.support.waiting import wait_for
from tests.unit.shared.records import posted
from worker.attempt import AttemptRun
from worker.claim import Owner
from worker.gate import _listen_again
from worker.outcome import failed_attempt
from worker.service import Worker

ONE = Settings(max_failures=1, max_losses=1)


class Bell:
    def __init__(self):
        self.rung = []

    def ring(self, job_id):
        self.rung.append(job_id)
        return True

    def unheard(self):
        return None


class EmptyNursery:
    child_start = "spawn"
    has_forgotten = False

    def start(self, _attempt):
        raise OSError("no process can be started")

    def forget_programs(self):
        self.has_forgotten = True


def test_a_worker_that_appears_takes_away_the_cards_of_those_that_nobody_has_seen_for_a_day(volume):
    facts = {"host": "here", "pid": 1, "device": "CPU", "slots": 1, "child_start": "spawn", "ready": True}
    for name, seconds in (("long gone", 90_000), ("just lost", 80_000)):
        seen_at = time_in(-seconds)
        card = WorkerCard(worker=name, draining=False, running=(), started_at=seen_at, seen_at=seen_at, **facts)
        volume.show_worker(card)
    worker = Worker(Settings(), volume, Bell(), EmptyNursery())
    worker.appear()
    wait_for(lambda: {card.worker for card in volume.worker_cards()} == {"just lost", worker.name})
    worker._gone.set()


def test_a_card_that_cannot_be_written_keeps_no_attempt_from_its_beginning_and_its_end(volume):
    job = posted(volume)
    bell = Bell()
    worker = Worker(Settings(retry_backoff_seconds=60), volume, bell, EmptyNursery())
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
    worker = Worker(Settings(retry_backoff_seconds=60), volume, Bell(), nursery)
    worker.begin()
    worker.run_next()
    worker._gone.set()
    assert nursery.has_forgotten == forgets


def test_a_slot_goes_on_with_the_next_job_in_order_without_a_ring_and_then_says_that_it_is_free(volume):
    jobs = [posted(volume), posted(volume)]
    worker = Worker(Settings(retry_backoff_seconds=60), volume, Bell(), EmptyNursery())
    freed = []
    worker.when_free(lambda: freed.append([len(job.attempts()) for job in jobs]))
    worker.begin()
    worker.run_next()
    worker._gone.set()
    assert freed == [[1, 1]]


def test_a_worker_that_drains_claims_nothing(volume):
    job = posted(volume)
    worker = Worker(Settings(), volume, Bell(), EmptyNursery())
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
    started = []
    monkeypatch.setattr(EmptyNursery, "start", lambda *_: started.append(1))
    worker = Worker(Settings(), volume, Bell(), EmptyNursery())
    worker.begin()
    true_claim = Owner.claim

    def claimed_long_ago(owner, number):
        claim = true_claim(owner, number)
        owner.claiming_since -= 25
        return claim

    monkeypatch.setattr(Owner, "claim", claimed_long_ago)
    worker.run_next()
    worker._gone.set()
    (attempt,) = job.attempts()
    assert (started, attempt.end()) == ([], None), "others end it"
