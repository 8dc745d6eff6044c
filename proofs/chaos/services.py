"""Processes of the service, and the supervisor that restarts those that have ended."""

import os
import random
import signal
import subprocess
import threading
import time
from pathlib import Path

from proofs.chaos.record import Record

# How long a machine or a process manager takes to restart what has died.
_AWAY_SECONDS = (0.2, 4.0)


class Service:
    """One process that the supervisor keeps running. `asked`: whether it was ended on purpose."""

    def __init__(self, name: str, arguments: list[str], environment: dict[str, str], log: Path) -> None:
        self.name = name
        self._arguments = arguments
        self._environment = environment
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.asked = False
        self.away_seconds: float | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def status(self) -> int | None:
        return self._process.poll() if self._process else None

    def start(self) -> None:
        self.asked = False
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._arguments, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )

    def send(self, number: signal.Signals, *, away_seconds: float | None = None) -> None:
        """Send a signal. `away_seconds`: time until the restart of a process that it ends; default: drawn at random."""
        if self.is_alive and self._process is not None:
            if number in {signal.SIGKILL, signal.SIGTERM}:
                self.asked = True
                self.away_seconds = away_seconds
            os.kill(self._process.pid, number)

    def stop(self) -> None:
        """End it in any state."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


class Supervisor:
    """Restarts a service a random time after it has ended, in one thread for all of them."""

    def __init__(self, services: list[Service], record: Record, chance: random.Random) -> None:
        self._services = services
        self._record = record
        self._chance = chance
        self._back_at: dict[str, float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="supervisor")

    def begin(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Stop restarting services."""
        self._over.set()
        self._thread.join()

    def _keep(self) -> None:
        while not self._over.wait(0.05):
            for service in self._services:
                if not service.is_alive:
                    self._look_after(service)

    def _look_after(self, service: Service) -> None:
        now = time.monotonic()
        if service.name not in self._back_at:
            drawn = self._chance.uniform(*_AWAY_SECONDS)
            away = drawn if service.away_seconds is None else service.away_seconds
            service.away_seconds = None
            self._record.write("ended", service=service.name, status=service.status, asked=service.asked)
            self._back_at[service.name] = now + away
        elif now >= self._back_at[service.name]:
            del self._back_at[service.name]
            service.start()
            self._record.write("started", service=service.name, pid=service.pid)
