"""Which attempt each slot of a worker runs, and how a job on several devices gets several slots."""

import threading
from collections.abc import Sequence

from shared.job_folder import AttemptFolder
from shared.worker_card import Gpu, RunningAttempt
from worker.machine.cards import cards_of_slots, choose_slots, count_devices, describe_cards


class SlotTable:
    """`slots` slots with `each` devices. `cards`: the worker's GPUs, as CUDA names them; empty on a CPU.

    `kept_for`: the id of a job that needs more slots than are free. Until it has them, no other job gets a slot.
    `claiming`: the lock that a thread holds while it claims a job for free slots, or frees slots.
    """

    def __init__(self, slots: int, each: int) -> None:
        self.cards: tuple[str, ...] = ()
        self.kept_for = ""
        self.claiming = threading.Lock()
        self._slots = range(slots)
        self._each = each
        self._attempts: dict[int, AttemptFolder] = {}
        self._devices: dict[int, int] = {}

    @property
    def most_devices(self) -> int:
        """Maximum devices of a job: those of all slots together."""
        return self.count_devices(self._slots)

    def count_devices(self, slots: Sequence[int]) -> int:
        return count_devices(self.cards, slots, self._each)

    def cards_of(self, slots: Sequence[int]) -> tuple[str, ...]:
        return cards_of_slots(self.cards, slots, self._each)

    def describe_cards(self) -> tuple[Gpu, ...]:
        return describe_cards(self.cards, len(self._slots), self._each)

    def may_take(self) -> bool:
        """Whether a slot is free and not kept for a job."""
        return len(self._attempts) < len(self._slots) and not self.kept_for

    def find_free(self) -> list[int]:
        return [slot for slot in self._slots if slot not in self._attempts]

    def has_free(self, devices: int) -> bool:
        """Whether the free slots together have this number of devices."""
        return devices <= self.count_devices(self.find_free())

    def take(self, attempt: AttemptFolder, devices: int) -> tuple[int, ...]:
        """Give an attempt the first free slots that together have this number of devices, and return them."""
        taken = choose_slots(self.cards, self.find_free(), self._each, devices)
        self._devices.update(dict.fromkeys(taken, devices))
        self._attempts.update(dict.fromkeys(taken, attempt))
        return taken

    def release(self, slots: Sequence[int]) -> None:
        """Free the slots of an attempt that has ended. A job that slots are kept for must be claimed again."""
        with self.claiming:
            for slot in slots:
                del self._attempts[slot]
            self.kept_for = ""

    def running(self) -> tuple[RunningAttempt, ...]:
        """The attempt of each slot that is not free."""
        return tuple(
            RunningAttempt(job=attempt.job.id, attempt=attempt.number, slot=slot, devices=self._devices[slot])
            for slot, attempt in sorted(self._attempts.copy().items())
        )
