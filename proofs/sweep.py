"""Kill workers and Redis during a sweep: `python -m proofs.sweep`, or `make sweep-proof`.

Two workers and a Redis run a sweep of small jobs. Each of the three is killed and started again at random moments.
Then the sweep's files are judged: each number was proposed once, each trial has one job and there are no others, and
each trial's parameters are computed again from the seed, its number and the results that were known. Last, an untouched
sweep with the same seed runs: up to where the results came in another order, proposals and results are the same.
"""

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from shared.sweep.folder import SweepFolder
from shared.sweep.proposal import propose
from shared.sweep.state import SweepState, read_state
from shared.sweep.trial import Trial
from shared.volume import Volume
from tests.support.jobs import learnable_frame, put_dataset, small_spec
from tests.support.redis import RedisServer, running_redis
from tests.support.sweeps import put_sweep
from tests.support.worker_process import WorkerProcess

SPACE = {
    "/hyperparameters/learning_rate": {"log": [1e-4, 0.1]},
    "/model/layers": {"choice": [[4], [16], [32, 32]]},
    "/model/dropout": {"uniform": [0.0, 0.5], "when": {"/model/layers": [[16], [32, 32]]}},
}


def main() -> int:
    """Run both sweeps and say what was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--parallel", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=120)
    asked = parser.parse_args()
    sys.stdout.write(f"seed {asked.seed}\n")
    root = Path(tempfile.mkdtemp(prefix="fitstop-sweep-"))
    try:
        with _Stand(root, asked.minutes) as stand:
            killed = stand.run(asked, asked.kills)
            broken = judge(stand.volume, killed)
            untouched = stand.run(asked, 0)
            same, faults = compare(killed, untouched)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    sys.stdout.write(f"{len(killed.trials)} trials under {stand.kills} kills\n")
    sys.stdout.write(f"{same} trials compared with the untouched sweep, in the same order of results\n")
    for fault in [*broken, *faults]:
        sys.stdout.write(f"BROKEN: {fault}\n")
    return 1 if broken or faults else 0


class _Stand:
    """Two workers and a Redis on a volume."""

    def __init__(self, root: Path, minutes: float) -> None:
        self.volume = Volume(root / "volume")
        self.kills = 0
        self._root = root
        self._until = time.monotonic() + minutes * 60

    def __enter__(self) -> "_Stand":
        put_dataset(self.volume, learnable_frame())
        (folder := self._root / "redis").mkdir()
        self._redis_context = running_redis(folder)
        self._redis: RedisServer = self._redis_context.__enter__()
        logs = [self._root / f"worker-{number}.log" for number in (1, 2)]
        self._workers = [WorkerProcess(self.volume, self._redis.url, log, FITSTOP_SLOTS="1") for log in logs]
        for worker in self._workers:
            worker.start()
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.stop()
        self._redis_context.__exit__(None, None, None)

    def run(self, asked: argparse.Namespace, kills: int) -> SweepState:
        """A sweep to its end, with kills spread over its trials."""
        chance = random.Random(asked.seed)
        spec = small_spec(hyperparameters={"epochs": 6, "batch_size": 32})
        parts = {"space": SPACE, "trials": asked.trials, "parallel": asked.parallel, "seed": asked.seed}
        folder = put_sweep(self.volume, job=spec, **parts)
        while True:
            if time.monotonic() > self._until:
                raise SystemExit("the sweep did not end in time")
            state = _state_of(self.volume, folder)
            if state.end is not None:
                return state
            if kills and self.kills < kills * (len(state.trials) + 1) / asked.trials:
                self._kill_one(chance)
            time.sleep(chance.uniform(0.1, 1.0))

    def _kill_one(self, chance: random.Random) -> None:
        self.kills += 1
        if chance.random() < 0.25:
            self._redis.kill()
            self._redis.start()
            return
        worker = chance.choice(self._workers)
        worker.send(signal.SIGKILL)
        worker.stop()
        worker.begin()


def _state_of(volume: Volume, folder: SweepFolder) -> SweepState:
    state = read_state(volume, folder.id)
    assert state is not None
    return state


def judge(volume: Volume, state: SweepState) -> list[str]:
    """What was lost, doubled, or does not follow from the results that were known."""
    spec, broken = state.record.spec, list[str]()
    if [trial.number for trial in state.trials] != list(range(1, spec.trials + 1)):
        broken.append("the numbers of the trials are not 1 to the maximum")
    jobs = [trial.job for trial in state.trials]
    if sorted(jobs) != sorted(volume.job_ids()) or len(set(jobs)) != len(jobs):
        broken.append("the jobs on the volume are not those of the trials")
    broken += [f"trial {trial.number} is {trial.status}" for trial in state.trials if trial.status != "succeeded"]
    for trial in state.trials:
        if propose(spec, known_before(state, trial), trial.number) != trial.parameters:
            broken.append(f"trial {trial.number} does not follow from the results before it")
    return broken


def known_before(state: SweepState, trial: Trial) -> list[Trial]:
    """The trials as they were known when this one was proposed."""
    earlier = [other for other in state.trials if other.number < trial.number]
    return [replace(other, status="running") if other.number in trial.unfinished else other for other in earlier]


def compare(one: SweepState, other: SweepState) -> tuple[int, list[str]]:
    """The number of trials up to where the order of results differs, and what differs before that."""
    faults = []
    for count, (ours, theirs) in enumerate(zip(one.trials, other.trials, strict=True)):
        if ours.unfinished != theirs.unfinished:
            return count, faults
        if (ours.parameters, ours.curve) != (theirs.parameters, theirs.curve):
            faults.append(f"trial {ours.number} differs from that of the untouched sweep")
    return len(one.trials), faults


if __name__ == "__main__":
    raise SystemExit(main())
