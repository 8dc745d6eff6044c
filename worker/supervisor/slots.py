"""A worker: its slots, the jobs in them, its drain, and its other threads."""

import logging
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from enum import Enum

from shared.job import AttemptEnd, JobError
from shared.job_folder import AttemptFolder, JobState
from shared.processes import this_process
from shared.queue import JobQueue
from shared.settings import Settings
from shared.times import seconds_since, seconds_until, utc_now
from shared.volume import Volume
from shared.worker_card import WorkerCard
from worker.machine.device import device_is_well, device_name, device_use
from worker.machine.memory import memory_bytes
from worker.supervisor.attempt import AttemptRun
from worker.supervisor.child import Child
from worker.supervisor.claim import NeedsMoreSlots, Owner, claim_next, in_turns
from worker.supervisor.idle import IdleClock
from worker.supervisor.local_disk import LocalDisk
from worker.supervisor.nursery import Nursery
from worker.supervisor.patrol import Sweeper
from worker.supervisor.programs import NO_CODE, explain_no_programs, runs_program
from worker.supervisor.slot_table import SlotTable
from worker.supervisor.sweeps import SweepRunner
from worker.supervisor.volume_watch import VolumeWatch

_CARD_SECONDS = 2
# A trial that cannot win may train for this long before it is stopped.
_TRIALS_SECONDS = 1
_FORGET_SECONDS = 24 * 3600
# A single failed query of the driver does not count. A GPU that a container has lost is gone until its restart.
_LOST_LOOKS = 2

log = logging.getLogger(__name__)


class Leaving(Enum):
    """Why a worker ends although nobody requested it."""

    IDLE = "nothing to do"
    DEVICE_GONE = "the device is gone"
    SICK = "no training process can be started"


class Worker:
    """Runs a maximum of one job in each slot. A job that needs more devices than a slot has gets several slots.

    `drain` is set when the worker must stop: it claims nothing more. `leaving`: why it ends although nobody requested
    it. `unfit`: why it never takes a job, empty if it does. `idle_gpu`: the name of a GPU that this TensorFlow cannot
    use. `no_programs`: why it takes no programs, empty if it does.
    """

    def __init__(self, settings: Settings, volume: Volume, job_queue: JobQueue, nursery: Nursery) -> None:
        self._host = socket.gethostname()
        self.name = f"{self._host}-{os.getpid()}-{secrets.token_hex(3)}"
        self.drain = threading.Event()
        self.leaving: Leaving | None = None
        self.device = device_name()
        self.unfit = ""
        self.idle_gpu = ""
        self.no_programs = NO_CODE
        self.slots = SlotTable(settings.slots, settings.slot_devices)
        self._settings = settings
        self._volume = volume
        self._queue = job_queue
        self._nursery = nursery
        self._watch = VolumeWatch(volume, settings.volume_reserve_bytes)
        self._disk = LocalDisk()
        self._sweeper = Sweeper(volume, job_queue, settings)
        self._sweep_runner = SweepRunner(volume, job_queue, settings)
        self._on_free: Callable[[], None] = lambda: None
        self._ready = False
        self._sweeps = False
        self._bad_looks = 0
        self._idle = IdleClock(settings.idle_exit_seconds)
        self._started_at = utc_now()
        self._gone = threading.Event()
        self._showing = threading.Lock()

    def appear(self) -> None:
        """Show the worker as starting, which takes minutes if a GPU's driver compiles, and begin the patrol.

        Removes the cards of workers that have not been seen for a day.
        """
        threading.Thread(target=self._show_start, name="start", daemon=True).start()
        self._sweep_from_now_on()

    def begin(self) -> None:
        """Start to receive notifications."""
        self._idle.restart()
        self._ready = True
        self._sweep_from_now_on()
        self._every(_CARD_SECONDS, self._look_at_itself, "card")
        if self.unfit:
            log.error("worker %s takes no jobs: %s", self.name, self.unfit)
        else:
            log.info("worker %s is ready: %d slots on %s", self.name, self._settings.slots, self.device)

    def _sweep_from_now_on(self) -> None:
        if not self._sweeps:
            self._sweeps = True
            self._every(self._settings.sweep_seconds, self._sweeper.sweep, "sweep")
            self._every(_TRIALS_SECONDS, self._sweep_runner.look, "trials")

    def end(self) -> None:
        """Stop the worker's threads and remove its card. The last step of a worker."""
        self._gone.set()
        try:
            with self._showing:
                self._volume.remove_worker(self.name)
        except OSError as error:
            log.warning("the worker's card could not be removed: %s", error)

    def may_take(self) -> bool:
        """Whether the worker could start a job now. Checked before each read of the queue."""
        is_well = not self._sickness and not self._bad_looks and not self._watch.paused
        return self._ready and is_well and self.slots.may_take() and not self.drain.is_set()

    @property
    def _sickness(self) -> str:
        """Why this worker takes no job now; empty if it does."""
        return self.unfit or self._nursery.sickness or self._disk.problem

    def run_next(self) -> None:
        """Run waiting jobs in the order of the queue, each to its end, until there is none or the worker drains.

        The next job needs no notification of its own. An outdated notification does no harm.
        """
        try:
            while self.may_take() and self._watch.may_claim() and self._run_first():
                pass
        except OSError as error:
            # The volume is full or not mounted: jobs wait, and the patrol notifies of them until it works again.
            log.warning("no job could be claimed or started: %s", error)
            self._watch.pause(error)
        finally:
            self._on_free()

    def when_free(self, call: Callable[[], None]) -> None:
        """Register a function to call, from the slot's thread, whenever a slot becomes free."""
        self._on_free = call

    def _run_first(self) -> bool:
        """Run the first job in order. False if there is none, or no child is ready."""
        child = self._nursery.take(self.drain)
        if child is None:
            return False
        claimed = None
        try:
            claimed = self._claim()
        finally:
            if claimed is None:
                self._nursery.put_back(child)
        if claimed is not None:
            self._run(*claimed, child)
        return claimed is not None

    def _claim(self) -> tuple[AttemptFolder, Owner, tuple[int, ...]] | None:
        """Claim the first job in order, and return its attempt, its owner and its slots; None if there is no job.

        If too few slots are free for the job, they are kept for it, and nothing is claimed until enough are free.
        """
        with self.slots.claiming:
            free = self.slots.find_free()
            if not free:
                return None
            owner = self._owner(free)
            try:
                attempt = claim_next(
                    self._volume, owner, self._settings.project_weights,
                    takes_programs=not self.no_programs, most_devices=self.slots.most_devices,
                )  # fmt: skip
            except NeedsMoreSlots as job:
                self.slots.kept_for = str(job)
                return None
            return None if attempt is None else (attempt, owner, self.slots.take(attempt, owner.claimed))

    def _owner(self, slots: Sequence[int]) -> Owner:
        """The owner of claims for these slots; its claims name the first one."""
        price, currency = self._settings.gpu_price_per_hour, self._settings.currency
        return Owner(
            self.name, self._host, os.getpid(), slots[0], self.device, price, currency,
            process=this_process(), devices=self.slots.count_devices(slots),
        )  # fmt: skip

    def _run(self, attempt: AttemptFolder, owner: Owner, slots: tuple[int, ...], child: Child) -> None:
        try:
            self._show_card()
            cards = self.slots.cards_of(slots)
            run = AttemptRun(attempt, owner.claiming_since, self._volume, self._settings, self.drain, cards)
            run.run(child)
        finally:
            child.close()
            self.slots.release(slots)
            self._show_card()
            self._look_back(attempt)
            # This thread continues with one of the slots. The notifications are for the threads of the others.
            for _ in slots[1:]:
                self._queue.notify(attempt.job.id)

    def _look_back(self, attempt: AttemptFolder) -> None:
        """React to an attempt's end, which may show a problem of this worker."""
        end, record = attempt.end(), attempt.job.record()
        if record is not None and record.sweep is not None:
            # Creates the next trial's job before this slot looks for work.
            self._sweep_runner.advance(record.sweep.id)
        if end is not None and runs_program(attempt.job):
            self._look_after_program(end)
        elif end is not None:
            self._learn_from(attempt, end)
        if end is not None and end.ending is None:
            self._notify_again(attempt, end)

    def _look_after_program(self, end: AttemptEnd) -> None:
        """React to a program's end, which it may have falsified: a report about the worker only starts a check."""
        self._watch.may_claim()
        self._disk.look()
        if end.error is not None and end.error.code == "no_box":
            self.no_programs = explain_no_programs(self._settings.allow_code)

    def _learn_from(self, attempt: AttemptFolder, end: AttemptEnd) -> None:
        self._watch.learn_from(attempt, end)
        if end.counts_as_failure:
            self._nursery.forget_programs()
        if end.error is not None:
            self._heed(end.error)

    def _heed(self, error: JobError) -> None:
        """Take no job while this worker has the problem that ended the attempt."""
        if error.code == "no_child":
            self._nursery.distrust(error.message)
        elif error.code in {"worker_disk_full", "worker_disk_error"}:
            self._disk.suspect(error.message)

    def _notify_again(self, attempt: AttemptFolder, end: AttemptEnd) -> None:
        """Notify of a job that is queued again, as soon as it may run. The next patrol would be later."""
        delay = max(0.0, seconds_until(end.retry_at)) if end.retry_at else 0.0
        if delay == 0 or self.drain.is_set():
            self._queue.notify(attempt.job.id)
            return
        timer = threading.Timer(delay, self._queue.notify, args=[attempt.job.id])
        timer.daemon = True
        timer.start()

    def _look_at_itself(self) -> None:
        # The card first: one that is written after the worker has ended would stay.
        self._show_card()
        self._look_at_device()
        self._disk.look()
        if self._watch.look():
            self._on_free()
        if self.slots.running():
            self._idle.restart()
        elif self._nursery.is_beyond_help:
            self._leave(Leaving.SICK)
        elif self._idle.is_up(self._work_waits):
            self._leave(Leaving.IDLE)
        self._look_at_kept_slots()

    def _look_at_kept_slots(self) -> None:
        """Free kept slots if the job was cancelled or is claimed, if it fits now, or if another job is first."""
        with self.slots.claiming:
            if not self.slots.kept_for:
                return
            job = next((state.record for state in self._waiting()), None)
            if job is not None and job.id == self.slots.kept_for and not self.slots.has_free(job.spec.devices):
                return
            self.slots.kept_for = ""
        self._on_free()
        if job is not None:
            self._queue.notify(job.id)

    def _look_at_device(self) -> None:
        if device_is_well(self.device):
            self._bad_looks = 0
            return
        self._bad_looks += 1
        if self._bad_looks >= _LOST_LOOKS:
            self._leave(Leaving.DEVICE_GONE)

    def _work_waits(self) -> bool:
        if self.unfit or self._disk.problem:
            return False
        return next(self._waiting(), None) is not None

    def _waiting(self) -> Iterator[JobState]:
        """The waiting jobs that this worker can run, in the queue's order."""
        weights, most = self._settings.project_weights, self.slots.most_devices
        return in_turns(self._volume, weights, takes_programs=not self.no_programs, devices=most)

    def _leave(self, why: Leaving) -> None:
        """End as after a SIGTERM: claim nothing more; running jobs are saved and handed back."""
        if self.leaving or self.drain.is_set():
            return
        log.warning("worker %s on %s ends: %s", self.name, self.device, why.value)
        self.leaving = why
        os.kill(os.getpid(), signal.SIGTERM)

    def _show_start(self) -> None:
        self._forget_the_gone()
        while not self._ready and not self._gone.is_set():
            self._show_card()
            self._gone.wait(_CARD_SECONDS)

    def _forget_the_gone(self) -> None:
        # Compares clocks of two machines, which does no harm: a living worker writes its card again within seconds.
        try:
            for card in self._volume.worker_cards():
                if seconds_since(card.seen_at) > _FORGET_SECONDS:
                    self._volume.remove_worker(card.worker)
        except OSError as error:
            log.warning("the cards of workers that have gone could not be removed: %s", error)

    def _show_card(self) -> None:
        card = WorkerCard(
            worker=self.name,
            host=self._host,
            pid=os.getpid(),
            device=self.device,
            gpu=device_use(),
            gpus=self.slots.describe_cards(),
            idle_gpu=self.idle_gpu,
            memory_bytes=memory_bytes(),
            programs="no" if self.no_programs else self._settings.allow_code,
            no_programs=self.no_programs,
            slots=self._settings.slots,
            slot_devices=self._settings.slot_devices,
            most_devices=self.slots.most_devices,
            kept_for=self.slots.kept_for,
            child_start=self._nursery.child_start,
            ready=self.may_take(),
            draining=self.drain.is_set(),
            unfit=self._sickness,
            paused=self._watch.paused,
            running=self.slots.running(),
            started_at=self._started_at,
            seen_at=utc_now(),
        )
        try:
            with self._showing:
                if not self._gone.is_set():
                    self._volume.show_worker(card)
        except OSError as error:
            # No decision depends on a card, so an attempt begins and ends without it.
            log.warning("the worker's card was not written: %s", error)

    def _every(self, seconds: float, act: Callable[[], None], name: str) -> None:
        """Call `act` now and every `seconds`, in its own thread, until the worker ends."""
        threading.Thread(target=self._repeat, args=(seconds, act), name=name, daemon=True).start()

    def _repeat(self, seconds: float, act: Callable[[], None]) -> None:
        while not self._gone.is_set():
            began = time.monotonic()
            try:
                act()
            except Exception:
                # The edge of a thread that must not end: in the next round the volume and Redis may work again.
                log.exception("a round was abandoned; the next one is in %s s", seconds)
            self._gone.wait(max(0.0, seconds - (time.monotonic() - began)))
