"""Faults of the bucket, of machines and their networks, and of processes."""

import random
import signal
import threading
import time
from collections import Counter

from proofs.bucket_copy import Server
from proofs.bucket_volume.stand import INTERVALS, Machine, Stand, send
from proofs.chaos.watcher import Trainer, Watcher

# Others have taken over before a frozen process continues.
FROZEN_SECONDS = 1.5 * float(INTERVALS["FITSTOP_TAKE_OVER_SECONDS"])
OF_BUCKET = ("server killed", "server still", "network cut")
OF_PROCESSES = (
    "worker frozen",
    "machine frozen",
    "worker asked to end",
    "training process killed",
    "API killed",
    "API killed",
    "sender killed",
)


class Faults:
    """`kinds` counts the faults; `frozen` are attempts whose worker was frozen for longer than the take-over time."""

    def __init__(self, stand: Stand, server: Server, watcher: Watcher, chance: random.Random) -> None:
        self._stand, self._server, self._watcher, self._chance = stand, server, watcher, chance
        self.kinds: Counter[str] = Counter()
        self.frozen: list[Trainer] = []
        # Frozen machines are not lost, because they must continue later.
        self._still: list[Machine] = []

    def of_bucket(self, over: threading.Event) -> None:
        """Cause faults of the bucket, one after the other, at random moments."""
        while not over.wait(self._chance.uniform(4, 14)):
            fault = self._chance.choice(OF_BUCKET)
            self._count(fault)
            if fault == "server killed":
                self._server.kill()
                over.wait(self._chance.uniform(0, 6))
                self._server.start()
            elif fault == "server still":
                self._server.pause(self._chance.choice([1, 4, 8, 15]))
            else:
                self._chance.choice(self._stand.machines).cut(self._chance.choice([2, 6, 14]))

    def of_processes(self, over: threading.Event) -> None:
        """Cause each fault of processes in turn, in a random order, at random moments, beside those of the bucket."""
        drawn: list[str] = []
        while not over.wait(self._chance.uniform(4, 12)):
            drawn = drawn or self._chance.sample(OF_PROCESSES, len(OF_PROCESSES))
            if self._do(drawn[-1], over):
                self._count(drawn.pop())

    def lose_machine(self) -> bool:
        """Lose a machine in the middle of its training; False if none trains at the moment."""
        found = self._find_training()
        if found is None:
            return False
        trainer, machine = found
        time.sleep(self._chance.uniform(0.5, 12))
        if trainer.pid not in self._watcher.trainers or machine in self._still:
            return False
        self._stand.record.write("lost", job=trainer.job, attempt=trainer.attempt, machine=machine.name)
        self.kinds["machine lost while it trained"] += 1
        self._stand.lose(machine)
        return True

    def _count(self, kind: str) -> None:
        self.kinds[kind] += 1
        self._stand.record.write("fault", kind=kind)

    def _do(self, kind: str, over: threading.Event) -> bool:
        """Cause a fault; False if there is no process to hit."""
        if kind == "API killed":
            self._stand.api.kill()
            return True
        if kind == "sender killed":
            self._stand.sender.kill()
            return True
        found = self._find_training()
        if found is None:
            return False
        trainer, machine = found
        worker = machine.worker
        if worker is None:
            return False
        if kind == "training process killed":
            send([trainer.pid], signal.SIGKILL)
        elif kind == "worker asked to end":
            send([worker], signal.SIGTERM)
        else:
            self._still.append(machine)
            self._freeze(trainer, [worker] if kind == "worker frozen" else machine.processes, over)
            self._still.remove(machine)
        return True

    def _freeze(self, trainer: Trainer, processes: list[int], over: threading.Event) -> None:
        send(processes, signal.SIGSTOP)
        self._stand.record.write("frozen", job=trainer.job, attempt=trainer.attempt, processes=processes)
        if not over.wait(FROZEN_SECONDS):
            self.frozen.append(trainer)
        self._stand.record.write("thawed", job=trainer.job, attempt=trainer.attempt)
        send(processes, signal.SIGCONT)

    def _find_training(self) -> tuple[Trainer, Machine] | None:
        """Choose a training process that runs, and its machine, neither of them frozen; None if there is none."""
        running = [one for one in self._watcher.trainers.values() if not one.stopped]
        awake = [machine for machine in self._stand.machines if machine not in self._still]
        found = [(one, machine) for one in running for machine in awake if machine.holds(one.pid)]
        return self._chance.choice(sorted(found, key=lambda one: one[0].job)) if found else None
