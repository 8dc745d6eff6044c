"""One run: the twins without a fault, then jobs and faults together, then a wait until every job has its result."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from proofs.chaos import work
from proofs.chaos.customer import Customer
from proofs.chaos.judge import Verdict, judge
from proofs.chaos.monkey import Monkey
from proofs.chaos.outcomes import outcome_of
from proofs.chaos.stand import Stand, running_stand
from proofs.chaos.watcher import Watcher
from tests.support.killing import Outcome
from tests.support.waiting import wait_for
from tests.support.worker_process import descendants, is_running

# The number of jobs that may be posted before their share of the faults.
_POST_AHEAD = 5


@dataclass(frozen=True)
class Options:
    """How much chaos. `quiet_seconds`: maximum time after the last fault until every job has its result."""

    seed: int
    jobs: int = 100
    faults: int = 300
    workers: int = 2
    mean_seconds: float = 2.5
    quiet_seconds: float = 300.0
    load: work.Load = work.SHORT


def run_chaos(folder: Path, options: Options, tell: Callable[[str], None]) -> Verdict:
    """Run the chaos in `folder`, which contains the logs afterwards, and judge it."""
    chance = random.Random(options.seed)
    with running_stand(folder, random.Random(chance.random()), options.workers) as stand:
        tell("the twins train untouched")
        twins = _twins(stand, options.load)
        tell("chaos begins")
        watcher = Watcher(stand.volume, stand.record)
        monkey = Monkey(stand, watcher, random.Random(chance.random()), options.mean_seconds)
        share = options.jobs / max(1, options.faults)
        customer = Customer(
            stand,
            random.Random(chance.random()),
            options.load,
            options.jobs,
            lambda: monkey.done * share + _POST_AHEAD,
        )
        watcher.begin()
        customer.begin()
        try:
            monkey.play(options.faults)
            tell(f"{monkey.done} faults are done; waiting until every job has its result")
            _wait_for_results(stand, customer, options.quiet_seconds)
            _look_for_remains(stand)
        finally:
            monkey.make_good()
            customer.end()
            watcher.end()
        verdict = judge(options.seed, stand.volume, stand.record, twins)
        if monkey.left_out:
            verdict.numbers["faults that this machine cannot do"] = ", ".join(monkey.left_out)
    verdict.broken["files written beside the volume while it was away"] = stand.disk.written_beside()
    return verdict


def _twins(stand: Stand, load: work.Load) -> dict[int, Outcome]:
    """Run each spec once without a fault through the same service, except the spec that its budget ends."""
    customer = Customer(stand, random.Random(0), load, 0, lambda: 0)
    customer.upload()
    kinds = [kind for kind in range(len(load.specs)) if kind != work.BUDGET_KIND]
    names = {kind: customer.post(load.named(kind, "twin")) for kind in kinds}
    customer.close()
    jobs = {kind: stand.volume.job_folder(job_id) for kind, job_id in names.items() if job_id is not None}
    for job in jobs.values():
        wait_for(job.result, 600, every=0.2, saying="the twins end")
        assert len(job.attempts()) == 1
    return {kind: outcome_of(job) for kind, job in jobs.items()}


def _open_jobs(stand: Stand) -> int:
    """Count jobs without a result. A marker without a spec, because a full disk prevented the job, does not count."""
    marked = [stand.volume.job_folder(marker.job_id) for marker in stand.volume.open_jobs()]
    return sum(1 for job in marked if job.spec_file.exists())


def _wait_for_results(stand: Stand, customer: Customer, seconds: float) -> None:
    """Wait until every job has its result. A timeout is no error, because the judge finds the lost jobs."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and not (customer.has_posted_all() and _open_jobs(stand) == 0):
        time.sleep(0.2)
    stand.record.write("quiet", open_jobs=_open_jobs(stand))


def _look_for_remains(stand: Stand) -> None:
    """Record the training processes and zombies that remain although all work is done."""
    for _ in range(20):
        left = _remains(stand)
        if not left:
            return
        time.sleep(0.25)
    for one in left:
        stand.record.write("left_behind", process=one)


def _remains(stand: Stand) -> list[str]:
    zombies = []
    for service in [*stand.workers, *stand.apis]:
        below = descendants(service.pid) if service.pid is not None and service.is_alive else []
        zombies += [f"{service.name}: zombie {pid}" for pid in below if not is_running(pid)]
    return zombies + _trainers_left(stand)


def _trainers_left(stand: Stand) -> list[str]:
    watcher = Watcher(stand.volume, stand.record)
    return [f"a training process of {one.job}, attempt {one.attempt}" for one in watcher.look().values()]
