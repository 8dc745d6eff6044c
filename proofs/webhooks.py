"""Webhooks get every chosen event at least once, signed and in order for each job, whatever is killed.

Jobs are posted through the API. Their attempts and ends are written as a worker writes them. Meanwhile the API, the
sender and Redis are killed with SIGKILL and restarted. One receiver fails, hangs, redirects and recovers. At the end
each receiver must have the events of its webhook. Ends with 1 if a promise was broken.
"""

import argparse
import http.client
import itertools
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from api.state.webhook_store import EVENT_TYPES
from shared.job import AttemptEnd, Ending, JobError, Stop, TerminalStatus
from shared.job_folder import JobFolder
from shared.open_job import OpenJob
from shared.times import utc_now
from shared.volume import Volume
from tests.support.api_process import ApiProcess
from tests.support.jobs import claim, learnable_frame, put_dataset, small_spec
from tests.support.redis import RedisServer, running_redis
from tests.support.waiting import wait_for
from tests.support.webhooks import Receiver

NETWORKS = {"FITSTOP_WEBHOOK_NETWORKS": "127.0.0.0/8"}
MOODS = [204, 500, 302, None]
BROKEN = (OSError, http.client.HTTPException)


class SenderProcess:
    """The process `python -m api.webhooks` on a volume."""

    def __init__(self, volume: Volume, log: Path, **environment: str) -> None:
        self.log = log
        self._environment = {**os.environ, "FITSTOP_VOLUME": str(volume.root), **NETWORKS, **environment}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "api.webhooks"]
            self.process = subprocess.Popen(command, env=self._environment, stderr=log, stdout=log)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@dataclass
class World:
    """The service, and the events that every job must cause, by the job's id."""

    volume: Volume
    redis: RedisServer
    api: ApiProcess
    sender: SenderProcess
    random: random.Random
    events: dict[str, list[str]] = field(default_factory=dict)
    is_over: threading.Event = field(default_factory=threading.Event)
    killed: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def ask(self, method: str, path: str, body: Any, **headers: str) -> Any:
        """Send a request, and repeat it until the API answers."""

        def answer() -> Any:
            with suppress(*BROKEN):
                found = self.api.ask(method, path, body, **headers)
                return found if found.status < 500 else None
            return None

        found = wait_for(answer, every=0.1, saying=f"{method} {path}")
        assert found.status in {201, 202}, found.body
        return found.json


def make_webhook(world: World, receiver: Receiver, events: Sequence[str]) -> None:
    made = world.ask("POST", "/webhooks", {"address": receiver.url, "events": list(events)})
    receiver.secret = made["secret"]


def work(world: World, jobs: int) -> None:
    """Post jobs, and start a thread for each that does what a worker would do with it."""
    for number in range(jobs):
        spec = small_spec(name=f"job-{number}", budget={"max_gpu_seconds": 10})
        posted = world.ask("POST", "/jobs", spec, **{"Idempotency-Key": f"job-{number}"})
        job = world.volume.job(posted["id"])
        assert job is not None
        threading.Thread(target=live, args=(world, job, world.random.random()), daemon=True).start()
        time.sleep(world.random.uniform(0.0, 0.5))


def live(world: World, job: JobFolder, seed: float) -> None:
    """Write one job's life: some losses, perhaps nearly all of its budget, an end."""
    chance = random.Random(seed)
    losses, held = chance.randrange(4), chance.choice([0.1, 9.5])
    status: TerminalStatus = chance.choice(["succeeded", "failed", "cancelled"])
    early = status == "succeeded" and chance.random() < 0.5
    for number in range(1, losses + 1):
        claim(job, number).close(loss())
        time.sleep(chance.uniform(0, 1.5))
    attempt = claim(job, losses + 1)
    ending = Ending(status=status, stop=Stop(reason="early_stopping" if early else "epochs_completed"))
    attempt.close(AttemptEnd(outcome="finished", ended_at=utc_now(), ending=ending, held_seconds=held))
    time.sleep(chance.uniform(0, 1.5))
    job.settle(ending, losses + 1)
    world.volume.close_job(OpenJob(5, job.id))
    used = ["budget_nearly_used"] if held > 9 else []
    ends = [*used, *(["early_stopping"] if early else []), status]
    world.events[job.id] = [*(f"worker_lost-{number}" for number in range(1, losses + 1)), *ends]


def loss() -> AttemptEnd:
    error = JobError(code="worker_lost", message="its worker is gone")
    return AttemptEnd(outcome="lost", ended_at=utc_now(), error=error, is_loss=True, held_seconds=0.0)


def change_moods(world: World, receiver: Receiver, long_hang: float) -> None:
    """Make the receiver answer, fail, redirect and hang in turn; the first hang is a long one."""
    hangs = itertools.chain([long_hang], itertools.repeat(1.5))
    for mood in itertools.cycle(MOODS):
        receiver.let_go.set()
        receiver.let_go = threading.Event()
        receiver.answer = lambda _number, mood=mood: mood  # type: ignore[misc]
        if world.is_over.wait(next(hangs) if mood is None else 1.5):
            break
    receiver.answer = lambda _number: 204
    receiver.let_go.set()


def kill(world: World, kills: int) -> None:
    """Kill the API, the sender or Redis, and start it again, `kills` times."""
    for _ in range(kills):
        what = world.random.choice(["the API", "the sender", "the sender", "Redis"])
        world.killed[what] += 1
        time.sleep(world.random.uniform(0.0, 1.5))
        if what == "the API":
            assert world.api.process is not None
            world.api.process.kill()
            world.api.process.wait()
            world.api.start()
        elif what == "Redis":
            world.redis.kill()
            world.redis.start()
        else:
            world.sender.kill()
            world.sender.start()


def is_complete(world: World, receiver: Receiver, events: Sequence[str]) -> bool:
    return {one["webhook-id"] for one in list(receiver.accepted)} >= set(expected_ids(world, events))


def expected_ids(world: World, events: Sequence[str]) -> list[str]:
    """The ids of all expected deliveries, in order for each job."""
    wanted = [(job, key) for job, keys in world.events.items() for key in keys]
    return [f"{job}-{key}" for job, key in wanted if f"job.{key.partition('-')[0]}" in events]


def judge(world: World, name: str, receiver: Receiver, events: Sequence[str]) -> list[str]:
    """Find what is wrong with the messages of a receiver."""
    wanted = expected_ids(world, events)
    first = list(dict.fromkeys(one["webhook-id"] for one in receiver.accepted))
    wrong = [f"{name}: missing {one}" for one in wanted if one not in first]
    wrong += [f"{name}: not asked for: {one}" for one in first if one not in wanted]
    for job in world.events:
        order = [one for one in first if one.startswith(job)]
        meant = [one for one in wanted if one.startswith(job)]
        wrong += [f"{name}: out of order: {order}, expected {meant}"] if not in_order(order, meant) else []
    wrong += [f"{name}: {receiver.bad_signatures} wrong signatures"] if receiver.bad_signatures else []
    print(f"{name}: {len(wanted)} events, {len(receiver.received)} requests, {len(receiver.accepted)} accepted")
    return wrong


def in_order(order: list[str], meant: list[str]) -> bool:
    """Whether losses are in order and the end is last. A nearly used budget may be noticed before or after a loss."""
    rest = [[one for one in listed if "budget" not in one] for listed in (order, meant)]
    return rest[0] == rest[1] and order[-1:] == meant[-1:]


def prove(folder: Path, *, jobs: int, kills: int, seed: int, long_hang: float) -> list[str]:
    """Run the proof and return what is wrong."""
    volume = Volume(folder / "volume")
    put_dataset(volume, learnable_frame())
    with running_redis(folder) as redis, Receiver() as moody, Receiver() as steady, Receiver() as picky:
        api = ApiProcess(volume, redis.url, folder / "api.log", **NETWORKS)
        world = World(volume, redis, api, SenderProcess(volume, folder / "webhooks.log"), random.Random(seed))
        receivers = {"moody": (moody, EVENT_TYPES), "steady": (steady, EVENT_TYPES), "picky": (picky, ["job.failed"])}
        try:
            api.start()
            world.sender.start()
            for receiver, events in receivers.values():
                make_webhook(world, receiver, events)
            threads = [
                threading.Thread(target=change_moods, args=(world, moody, long_hang)),
                threading.Thread(target=work, args=(world, jobs)),
            ]
            for thread in threads:
                thread.start()
            kill(world, kills)
            threads[1].join()
            wait_for(lambda: len(world.events) == jobs, saying="every job has ended")
            wait_for(lambda: is_complete(world, steady, EVENT_TYPES), saying="the steady receiver has everything")
            world.is_over.set()
            with suppress(AssertionError):
                wait_for(
                    lambda: is_complete(world, moody, EVENT_TYPES), 180, saying="the moody receiver has everything"
                )
            print(f"killed {dict(world.killed)}; {jobs} jobs")
            return [wrong for name, (one, events) in receivers.items() for wrong in judge(world, name, one, events)]
        finally:
            world.is_over.set()
            world.sender.kill()
            assert api.process is not None
            api.process.kill()
            api.process.wait()


def main() -> int:
    """Run the proof and print what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=60)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--long-hang", type=float, default=25.0, help="seconds of the first hang; a try takes 20 at most"
    )
    asked = parser.parse_args()
    print(f"seed {asked.seed}")
    with tempfile.TemporaryDirectory(prefix="fitstop-webhooks-") as folder:
        wrong = prove(Path(folder), jobs=asked.jobs, kills=asked.kills, seed=asked.seed, long_hang=asked.long_hang)
    print("\n".join(wrong) or "every promise was kept")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
