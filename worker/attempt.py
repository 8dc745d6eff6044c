"""One attempt at a job, from the claim to its end: start a child, beat, watch, record how the child ended."""

import logging
import threading
import time

from shared.events import Event, EventWriter
from shared.job import AttemptEnd
from shared.job_folder import AttemptFolder
from shared.settings import Settings
from shared.volume import OpenJob, Volume
from worker.child import Child
from worker.clean_up import sweep_out
from worker.heartbeat import Heartbeat
from worker.memory import out_of_memory_kills
from worker.outcome import Exit, decide
from worker.pulse import Pulse

_LOOK_SECONDS = 0.25

log = logging.getLogger(__name__)


class AttemptRun:
    """Runs one claimed attempt in the thread of one slot.

    `since`: the moment before its claim, by this machine's monotonic clock.
    """

    def __init__(
        self, attempt: AttemptFolder, since: float, volume: Volume, settings: Settings, drain: threading.Event
    ) -> None:
        self._attempt = attempt
        self._since = since
        self._volume = volume
        self._settings = settings
        self._drain = drain
        self._asked_at: float | None = None
        self._pulse = Pulse(settings.child_start_seconds, "0:0")
        self._has_begun = False
        self._heard_at = time.monotonic()

    def run(self, child: Child) -> None:
        """Train in `child`, and record the end. Whatever happens to this process, another worker can go on."""
        self._tell(_claimed(self._attempt))
        with Heartbeat(self._attempt, self._settings, self._since) as heartbeat:
            # Who took so long to its first beat may be taken for lost by now, and starts no child.
            end = None if heartbeat.is_lost else self._trained(child, heartbeat)
            if end is None or heartbeat.is_lost:
                log.warning("%s attempt %d belongs to others by now", self._attempt.job.id, self._attempt.number)
                return
            self._record(end, heartbeat)

    def _trained(self, child: Child, heartbeat: Heartbeat) -> AttemptEnd | None:
        """Say how the training ended; None where the attempt belongs to others by then."""
        child.begin(self._attempt)
        self._heard_at = time.monotonic()
        log.info("%s attempt %d trains in process %s", self._attempt.job.id, self._attempt.number, child.pid)
        exit_ = self._watched(child, heartbeat)
        return None if heartbeat.is_lost else decide(self._attempt, exit_, self._settings)

    def _watched(self, child: Child, heartbeat: Heartbeat) -> Exit:
        """Wait for the child; ask it to stop when the worker drains, kill it where it does not hear or hangs."""
        kills_before = out_of_memory_kills()
        because: str | None = None
        while because is None and not child.has_ended(_LOOK_SECONDS):
            because = self._reason_to_kill(child, heartbeat)
        if because == "hang":
            child.kill_and_keep_stacks()
        elif because:
            child.kill()
        self._hear(child)
        kills = out_of_memory_kills() - kills_before
        exit_ = Exit(child.exit_code(), because, self._pulse.place, kills, self._has_begun)
        child.close()
        return exit_

    def _reason_to_kill(self, child: Child, heartbeat: Heartbeat) -> str | None:
        self._hear(child)
        if heartbeat.is_lost:
            return "lost"
        if self._drain.is_set() and self._grace_is_over(child):
            return "drain"
        if self._attempt.job.cancel_file.exists() and self._grace_is_over(child):
            return "cancel"
        return "hang" if time.monotonic() - self._heard_at > self._pulse.silence_seconds else None

    def _hear(self, child: Child) -> None:
        heard = child.newest_pulse()
        if heard is not None:
            self._pulse, self._heard_at = heard, time.monotonic()
            self._has_begun = True

    def _grace_is_over(self, child: Child) -> bool:
        """Ask once, and say whether the child has had its time since. A cancelled child has heard by itself."""
        if self._asked_at is None:
            self._asked_at = time.monotonic()
            if self._drain.is_set():
                child.ask_to_stop()
        return time.monotonic() - self._asked_at > self._settings.stop_grace_seconds

    def _record(self, end: AttemptEnd, heartbeat: Heartbeat) -> None:
        """Write the end down; where somebody else did so first, the attempt was theirs to end."""
        self._tell(_ended(end))
        if not self._closed(end, heartbeat):
            log.warning("%s attempt %d was ended by others", self._attempt.job.id, self._attempt.number)
            return
        log.info("%s attempt %d: %s", self._attempt.job.id, self._attempt.number, end.outcome)
        record = self._attempt.job.record()
        if end.ending is not None and record is not None:
            self._attempt.job.settle(end.ending, self._attempt.number)
            self._volume.close_job(OpenJob(record.spec.priority, record.id))
            sweep_out(self._attempt.job)

    def _closed(self, end: AttemptEnd, heartbeat: Heartbeat) -> bool:
        """End the attempt; on a volume that is full or away, try until it is back or others must have taken over."""
        while not heartbeat.is_lost:
            try:
                return self._attempt.close(end)
            except OSError as error:
                log.warning("the end of %s cannot be written yet: %s", self._attempt.job.id, error)
                time.sleep(_LOOK_SECONDS)
        return False

    def _tell(self, event: Event) -> None:
        """Write an event; a volume that cannot take it must not keep the attempt from its end."""
        try:
            with EventWriter(self._attempt.events_file) as events:
                events.write([event])
                events.sync()
        except OSError as error:
            log.warning("an event of %s was not written: %s", self._attempt.job.id, error)


def _claimed(attempt: AttemptFolder) -> Event:
    claim = attempt.claim()
    assert claim is not None
    message = f"attempt {attempt.number} on {claim.host}, slot {claim.slot} ({claim.device})"
    facts = {"status": "running", "host": claim.host, "slot": claim.slot, "device": claim.device}
    return Event("state", message, facts)


def _ended(end: AttemptEnd) -> Event:
    status = end.ending.status if end.ending else "queued"
    facts = {"status": status, "outcome": end.outcome, "code": end.error.code if end.error else None}
    because = f": {end.error.message}" if end.error else ""
    if end.ending is not None:
        return Event("state", f"the job has {_PAST[status]}{because}", facts, "error" if because else "info")
    return Event("state", f"queued again, the attempt was {end.outcome.replace('_', ' ')}{because}", facts, "warning")


_PAST = {"succeeded": "succeeded", "failed": "failed", "cancelled": "been cancelled"}
