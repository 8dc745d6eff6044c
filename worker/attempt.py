"""One attempt at a job, from the claim to its end: start a child, beat, watch, record how the child ended."""

import logging
import threading
import time
from collections.abc import Mapping

from shared.events import Event, EventWriter
from shared.job import AttemptEnd, JobError
from shared.job_folder import AttemptFolder
from shared.settings import Settings
from shared.volume import OpenJob, Volume
from worker.child import Child, Nursery
from worker.heartbeat import Heartbeat
from worker.outcome import Exit, decide, failed_attempt

_LOOK_SECONDS = 0.25

log = logging.getLogger(__name__)


class AttemptRun:
    """Runs one claimed attempt in the thread of one slot."""

    def __init__(self, attempt: AttemptFolder, volume: Volume, settings: Settings, drain: threading.Event) -> None:
        self._attempt = attempt
        self._volume = volume
        self._settings = settings
        self._drain = drain
        self._asked_at: float | None = None

    def run(self, nursery: Nursery, environment: Mapping[str, str]) -> None:
        """Train, and record the end. Whatever happens to this process on the way, another worker can go on."""
        self._tell(_claimed(self._attempt))
        with Heartbeat(self._attempt, self._settings) as heartbeat:
            try:
                child = nursery.start(self._attempt, environment)
            except (OSError, EOFError) as error:
                log.exception("no child could be started for %s", self._attempt.job.id)
                message = f"the worker could not start a training process: {type(error).__name__}"
                self._record(failed_attempt(self._attempt, JobError(code="no_child", message=message), self._settings))
                return
            log.info("%s attempt %d trains in process %s", self._attempt.job.id, self._attempt.number, child.pid)
            exit_ = self._watched(child, heartbeat)
            if heartbeat.is_lost:
                log.warning("%s attempt %d belongs to others by now", self._attempt.job.id, self._attempt.number)
                return
            self._record(decide(self._attempt, exit_, self._settings))

    def _watched(self, child: Child, heartbeat: Heartbeat) -> Exit:
        """Wait for the child; ask it to stop when the worker drains, kill it where it does not hear."""
        killed_because: str | None = None
        while not child.has_ended(_LOOK_SECONDS):
            if heartbeat.is_lost:
                killed_because = "lost"
            elif self._drain.is_set() and self._grace_is_over(child):
                killed_because = "drain"
            elif self._attempt.job.cancel_file.exists() and self._grace_is_over(child):
                killed_because = "cancel"
            if killed_because:
                child.kill()
                break
        exit_ = Exit(child.exit_code(), killed_because)
        child.close()
        return exit_

    def _grace_is_over(self, child: Child) -> bool:
        """Ask once, and say whether the child has had its time since. A cancelled child has heard by itself."""
        if self._asked_at is None:
            self._asked_at = time.monotonic()
            if self._drain.is_set():
                child.ask_to_stop()
        return time.monotonic() - self._asked_at > self._settings.stop_grace_seconds

    def _record(self, end: AttemptEnd) -> None:
        """Write the end down; where somebody else did so first, the attempt was theirs to end."""
        self._tell(_ended(end))
        if not self._attempt.close(end):
            log.warning("%s attempt %d was ended by others", self._attempt.job.id, self._attempt.number)
            return
        log.info("%s attempt %d: %s", self._attempt.job.id, self._attempt.number, end.outcome)
        record = self._attempt.job.record()
        if end.ending is not None and record is not None:
            self._attempt.job.settle(end.ending, self._attempt.number)
            self._volume.close_job(OpenJob(record.spec.priority, record.id))

    def _tell(self, event: Event) -> None:
        with EventWriter(self._attempt.events_file) as events:
            events.write([event])
            events.sync()


def _claimed(attempt: AttemptFolder) -> Event:
    claim = attempt.claim()
    assert claim is not None
    message = f"attempt {attempt.number} on {claim.host}, slot {claim.slot} ({claim.device})"
    facts = {"status": "running", "host": claim.host, "slot": claim.slot, "device": claim.device}
    return Event("state", message, facts)


def _ended(end: AttemptEnd) -> Event:
    status = end.ending.status if end.ending else "queued"
    facts = {"status": status, "outcome": end.outcome, "code": end.error.code if end.error else None}
    if end.ending is not None:
        return Event("state", f"the job has {_PAST[status]}", facts)
    because = f": {end.error.message}" if end.error else ""
    return Event("state", f"queued again, the attempt was {end.outcome.replace('_', ' ')}{because}", facts, "warning")


_PAST = {"succeeded": "succeeded", "failed": "failed", "cancelled": "been cancelled"}
