"""Draws faults from the seed and carries them out, spread so that work continues between them."""

import heapq
import itertools
import random
import time
from collections.abc import Callable

from proofs.chaos.faults import Faults
from proofs.chaos.stand import Stand
from proofs.chaos.watcher import Watcher


class Monkey:
    """`done` counts the faults that have hit something."""

    def __init__(self, stand: Stand, watcher: Watcher, chance: random.Random, mean_seconds: float) -> None:
        self._record = stand.record
        self._chance = chance
        self._mean_seconds = mean_seconds
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._faults = Faults(stand, watcher, chance, self._do_later)
        self.done = 0

    @property
    def left_out(self) -> list[str]:
        return self._faults.left_out()

    def play(self, faults: int) -> None:
        """Cause this number of faults, then undo those that do not end by themselves."""
        kinds = self._faults.by_kind()
        weights = [weight for weight, _ in kinds.values()]
        while self.done < faults:
            self._wait(min(self._chance.expovariate(1 / self._mean_seconds), 4 * self._mean_seconds))
            kind = self._chance.choices(list(kinds), weights)[0]
            hit = kinds[kind][1]()
            if hit is not None:
                self.done += 1
                self._record.write("fault", kind=kind, hit=hit)
        self.make_good()

    def make_good(self) -> None:
        """Undo the faults that do not end by themselves."""
        while self._later:
            heapq.heappop(self._later)[2]()

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            while self._later and self._later[0][0] <= now:
                heapq.heappop(self._later)[2]()
            self._faults.remember_notifications()
            time.sleep(min(0.05, until - now))

    def _do_later(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._later, (time.monotonic() + seconds, next(self._order), act))
