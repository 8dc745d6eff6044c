"""The scenario for the queue: Redis is flushed with jobs queued and running, unavailable for a while, then empty.

All jobs must end without help, running jobs must not be disturbed, and the queue must continue soon after Redis is
back. Uses the product's own settings, not quicker ones.
"""

import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proofs.chaos import work
from proofs.chaos.customer import Customer
from proofs.chaos.judge import Verdict
from proofs.chaos.outcomes import torn_files
from proofs.chaos.stand import Stand, running_stand
from shared.events import job_events
from shared.job_folder import JobFolder
from shared.times import parse_time
from tests.support.waiting import wait_for

# Maximum wait for the first queued job once Redis is back.
MOST_SECONDS = 30.0
_PROBE_EPOCHS = 40


@dataclass(frozen=True)
class Outage:
    """How long Redis is unavailable, and how many jobs wait meanwhile."""

    seed: int
    away_seconds: float = 60.0
    queued: int = 50


def run_bells(folder: Path, outage: Outage, tell: Callable[[str], None]) -> Verdict:
    """Judge one outage. One running job ends during it, so that a worker is free; the other outlasts it."""
    with running_stand(folder, random.Random(outage.seed), settings={}) as stand:
        customer = Customer(stand, random.Random(outage.seed), work.SHORT, 0, lambda: 0)
        customer.upload()
        epoch_seconds = _probed(stand, customer)
        tell(f"an epoch takes {epoch_seconds:.3f} s; two jobs run and {outage.queued} wait")
        running = [
            _post(stand, customer, _endless(int(seconds / epoch_seconds), seed))
            for seed, seconds in enumerate((outage.away_seconds * 0.5, 10 + outage.away_seconds * 1.6))
        ]
        for job in running:
            wait_for(lambda job=job: _rows(job) > 1, 60, saying="both run")
        queued = [_post(stand, customer, _endless(5, number)) for number in range(outage.queued)]
        customer.close()
        back = _take_redis_away(stand, outage.away_seconds, tell)
        tell("Redis is back, and empty")
        _wait_until_all_have_ended(stand, outage)
        return _judged(stand, outage, running, queued, back)


def _take_redis_away(stand: Stand, seconds: float, tell: Callable[[str], None]) -> float:
    """Flush Redis, kill it, and wait until it is back and empty. Return the wall-clock time of its return."""
    with stand.redis_client() as client:
        client.flushall()
    tell("Redis is flushed")
    time.sleep(2)
    stand.redis.send(signal.SIGKILL, away_seconds=seconds)
    wait_for(lambda: not stand.redis.is_alive, 10)
    tell("Redis is gone")
    wait_for(lambda: stand.redis.is_alive, seconds + 30, saying="the supervisor brings Redis back")
    return time.time()


def _judged(stand: Stand, outage: Outage, running: list[JobFolder], queued: list[JobFolder], back: float) -> Verdict:
    verdict = Verdict(outage.seed)
    every = [*running, *queued]
    results = {job.id: job.result() for job in every}
    starts = sorted(first for job in queued if (first := _first_claim(job)) is not None)
    waited = next((start - back for start in starts if start >= back), None)
    verdict.broken["jobs that have not succeeded"] = [
        job_id for job_id, result in results.items() if result is None or result.ending.status != "succeeded"
    ]
    verdict.broken["running jobs that were disturbed"] = [job.id for job in running if len(job.attempts()) != 1]
    verdict.broken["queued jobs that were started twice"] = [job.id for job in queued if len(job.attempts()) != 1]
    slow = waited is None or waited > MOST_SECONDS
    verdict.broken[f"first start later than {MOST_SECONDS:g} s after Redis's return"] = [str(waited)] if slow else []
    verdict.broken["torn files"] = list(torn_files(stand.volume))
    verdict.broken["processes that ended and nobody had ended them"] = [
        str(line) for line in stand.record.read("ended") if not line["asked"]
    ]
    verdict.numbers["jobs"] = len(every)
    verdict.numbers["seconds that Redis was away"] = outage.away_seconds
    ended_later = sum(1 for job in running if job.result_file.exists() and job.result_file.stat().st_mtime > back)
    verdict.numbers["running jobs that outlasted it"] = ended_later
    verdict.numbers["queued jobs that started while Redis was away"] = sum(start < back for start in starts)
    verdict.numbers["seconds from Redis's return to the first start"] = None if waited is None else round(waited, 1)
    return verdict


def _wait_until_all_have_ended(stand: Stand, outage: Outage) -> None:
    until = time.monotonic() + 120 + 6 * outage.queued
    while time.monotonic() < until and any(True for _ in stand.volume.open_jobs()):
        time.sleep(0.2)


def _probed(stand: Stand, customer: Customer) -> float:
    """Measure the seconds of an epoch while two jobs train. An epoch is shorter when one of them has ended."""
    jobs = [_post(stand, customer, _endless(_PROBE_EPOCHS, seed)) for seed in (7, 8)]
    for job in jobs:
        wait_for(job.result, 120, every=0.1, saying="the probe ends")
    return max(0.005, min(_seconds_of_an_epoch(job) for job in jobs))


def _seconds_of_an_epoch(job: JobFolder) -> float:
    moments = [parse_time(placed.event.time) for placed in job_events(job) if placed.event.type == "epoch"]
    settled = moments[len(moments) // 2 :]
    return (settled[-1] - settled[0]).total_seconds() / (len(settled) - 1)


def _endless(epochs: int, seed: int) -> dict[str, Any]:
    """A spec without early stopping."""
    spec = work.SHORT.named(0, f"job_queue-{seed}")
    spec["hyperparameters"] = {**spec["hyperparameters"], "epochs": epochs, "seed": seed}
    spec["callbacks"] = {**spec["callbacks"], "early_stopping": None}
    return spec


def _post(stand: Stand, customer: Customer, spec: dict[str, Any]) -> JobFolder:
    job_id = customer.post(spec)
    assert job_id is not None, "the API acknowledges a job"
    return stand.volume.job_folder(job_id)


def _rows(job: JobFolder) -> int:
    attempts = job.attempts()
    return attempts[0].training_log.read_text().count("\n") if attempts and attempts[0].training_log.exists() else 0


def _first_claim(job: JobFolder) -> float | None:
    attempts = job.attempts()
    return attempts[0].claim_file.stat().st_mtime if attempts else None
