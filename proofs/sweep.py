"""Kill workers, APIs and Redis during a sweep: `python -m proofs.sweep`, or `make sweep-proof`.

Two workers, two APIs and a Redis run a sweep over wine-quality, which is posted and watched over HTTP. Each of the five
is killed and restarted at random moments. Then the sweep's files are judged. Each number must be proposed once. Each
trial must have one job, and there may be no others. Each trial's parameters are computed again from the seed, its
number and the results known then, and the API must show the same. Last, two sweeps run one trial after another, one
killed and one untouched: with the same order of results, every proposal and every value must be the same.
"""

import argparse
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from fitstop.client import Client
from fitstop.connection import Connection
from fitstop.errors import Answered, ClientError
from proofs.say import say
from shared.sweep.proposal import propose
from shared.sweep.state import SweepState, read_state
from shared.sweep.trial import Trial
from shared.volume import Volume
from tests.support.api_process import ApiProcess
from tests.support.keys import ADMIN_KEY
from tests.support.redis import RedisServer, running_redis
from tests.support.wine import article_file
from tests.support.worker_process import WorkerProcess

SPACE = {
    "/hyperparameters/learning_rate": {"log": [1e-4, 0.1]},
    "/model/layers": {"choice": [[4], [16], [32, 32]]},
    "/model/dropout": {"uniform": [0.0, 0.5], "when": {"/model/layers": [[16], [32, 32]]}},
}
JOB = {
    "dataset": {"id": "wine-quality", "target": "quality", "positive": {"at_least": 6}},
    "hyperparameters": {"epochs": 4, "batch_size": 128},
}
_ANSWER_SECONDS = 120

_Found = TypeVar("_Found")


def main() -> int:
    """Run the sweeps and print what was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--kills", type=int, default=100, help="during the first sweep; in proportion in the second")
    parser.add_argument("--parallel", type=int, default=2)
    parser.add_argument("--in-order", type=int, default=40, help="trials of the two sweeps that are compared")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=120)
    asked = parser.parse_args()
    say(f"seed {asked.seed}")
    root = Path(tempfile.mkdtemp(prefix="fitstop-sweep-"))
    try:
        with _Stand(root, asked.seed, asked.minutes) as stand:
            broken = judge(stand, stand.run(asked.trials, asked.parallel, asked.kills))
            killed = stand.run(asked.in_order, 1, round(asked.kills * asked.in_order / asked.trials))
            broken += judge(stand, killed)
            broken += compare(killed, stand.run(asked.in_order, 1, 0))
    finally:
        shutil.rmtree(root, ignore_errors=True)
    for fault in broken:
        say(f"BROKEN: {fault}")
    return 1 if broken else 0


class _Stand:
    """Two workers, two APIs and a Redis on a volume."""

    def __init__(self, root: Path, seed: int, minutes: float) -> None:
        self.volume = Volume(root / "volume")
        self._root = root
        self._seed = seed
        self._chance = random.Random(seed)
        self._until = time.monotonic() + minutes * 60

    def __enter__(self) -> "_Stand":
        with ExitStack() as stack:
            (folder := self._root / "redis").mkdir()
            self._redis: RedisServer = stack.enter_context(running_redis(folder))
            url = self._redis.url
            logs = [[self._root / f"{name}-{number}.log" for number in (1, 2)] for name in ("api", "worker")]
            self._apis = [ApiProcess(self.volume, url, log) for log in logs[0]]
            self._workers = [WorkerProcess(self.volume, url, log, FITSTOP_SLOTS="1") for log in logs[1]]
            for service in [*self._apis, *self._workers]:
                service.start()
                stack.callback(service.stop)
            self._clients = [self._client(stack, api) for api in self._apis]
            self.ask(lambda client: client.put_dataset("wine-quality", article_file(self._root)))
            self._stack = stack.pop_all()
        return self

    def _client(self, stack: ExitStack, api: ApiProcess) -> Client:
        return stack.enter_context(Client(Connection(f"http://127.0.0.1:{api.port}", ADMIN_KEY), seconds=10))

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def ask(self, request: Callable[[Client], _Found]) -> _Found:
        """Send a request to one of the APIs, at random, and repeat it while an API is unavailable."""
        give_up = time.monotonic() + _ANSWER_SECONDS
        while True:
            try:
                return request(self._chance.choice(self._clients))
            except ClientError as error:
                if isinstance(error, Answered) and error.problem.status != 503:
                    raise
                if time.monotonic() > give_up:
                    raise
            time.sleep(0.2)

    def run(self, trials: int, parallel: int, kills: int) -> SweepState:
        """Run a sweep to its end, with kills spread over its trials."""
        spec = {
            "job": JOB,
            "space": SPACE,
            "trials": trials,
            "parallel": parallel,
            "seed": self._seed,
            "rule": {"name": "none"},
        }
        began, done = time.monotonic(), Counter[str]()
        sweep_id = str(self.ask(lambda client: client.submit_sweep(spec))["id"])
        while (told := self.ask(lambda client: client.sweep(sweep_id)))["status"] == "running":
            if time.monotonic() > self._until:
                raise SystemExit(f"the sweep did not end in time: {told}")
            if done.total() < kills * (told["counts"]["total"] + 1) / trials:
                done[self._kill_one()] += 1
            time.sleep(self._chance.uniform(0.1, 1.0))
        killed = ", ".join(f"{count} of {name}" for name, count in sorted(done.items())) or "none"
        say(f"{trials} trials, parallel {parallel}, {time.monotonic() - began:.0f} s; kills: {killed}")
        state = read_state(self.volume, sweep_id)
        assert state is not None
        return state

    def _kill_one(self) -> str:
        """Kill a service with all its processes, start it again, and return its kind."""
        kind = self._chance.choices(["worker", "api", "redis"], [0.5, 0.3, 0.2])[0]
        if kind == "redis":
            self._redis.kill()
            self._redis.start()
        elif kind == "api":
            api = self._chance.choice(self._apis)
            api.kill()
            api.begin()
        else:
            worker = self._chance.choice(self._workers)
            worker.stop()
            worker.begin()
        return kind


def judge(stand: _Stand, state: SweepState) -> list[str]:
    """Find what was lost, doubled, shown differently, or does not follow from the results that were known."""
    spec, broken = state.record.spec, list[str]()
    if [trial.number for trial in state.trials] != list(range(1, spec.trials + 1)):
        broken.append("the numbers of the trials are not 1 to the maximum")
    if sorted(trial.job for trial in state.trials) != sorted(jobs_of(stand.volume, state.record.id)):
        broken.append("the jobs of the sweep on the volume are not those of its trials")
    shown = stand.ask(lambda client: list(client.all_trials(state.record.id)))
    if [facts(one) for one in shown] != [facts_of(trial, state.mode) for trial in state.trials]:
        broken.append("the API shows other trials than the files")
    broken += [f"trial {trial.number} is {trial.status}" for trial in state.trials if trial.status != "succeeded"]
    for trial in state.trials:
        if propose(spec, known_before(state, trial), trial.number) != trial.parameters:
            broken.append(f"trial {trial.number} does not follow from the results before it")
    return broken


def jobs_of(volume: Volume, sweep_id: str) -> list[str]:
    """The jobs on the volume whose records name the sweep."""
    records = [record for job_id in volume.job_ids() if (record := volume.job_folder(job_id).record()) is not None]
    return [record.id for record in records if record.sweep is not None and record.sweep.id == sweep_id]


def facts(shown: dict[str, Any]) -> tuple[Any, ...]:
    """The facts of a trial, as the API shows it."""
    return tuple(shown[name] for name in ("number", "job", "status", "parameters", "value", "epoch"))


def facts_of(trial: Trial, mode: str) -> tuple[Any, ...]:
    """The facts of a trial, from its files."""
    return trial.number, trial.job, trial.status, trial.parameters, trial.best(mode), len(trial.curve)


def known_before(state: SweepState, trial: Trial) -> list[Trial]:
    """The earlier trials as they were known when this one was proposed."""
    earlier = [other for other in state.trials if other.number < trial.number]
    return [replace(other, status="running") if other.number in trial.unfinished else other for other in earlier]


def compare(one: SweepState, other: SweepState) -> list[str]:
    """The differences between two sweeps whose results came in the same order."""
    pairs = list(zip(one.trials, other.trials, strict=True))
    same = sum((ours.parameters, ours.curve) == (theirs.parameters, theirs.curve) for ours, theirs in pairs)
    say(f"{same} of {len(pairs)} trials have the parameters and the curve of the untouched sweep")
    return [] if same == len(pairs) else ["the killed sweep differs from the untouched one"]


if __name__ == "__main__":
    raise SystemExit(main())
