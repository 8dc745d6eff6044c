"""Runs one attempt from its claim to its end: starts a child, sends heartbeats, watches it, records how it ended."""

import errno
import logging
import threading
import time
from collections.abc import Iterator, Sequence

from shared.events import Event, EventWriter
from shared.job import AttemptEnd, JobError
from shared.job_folder import AttemptFolder
from shared.mirror.attached import bring
from shared.mirror.push import OtherDecision
from shared.open_job import OpenJob
from shared.points import made_progress
from shared.settings import Settings
from shared.storage import classify_storage_error, is_storage_error, storage_message
from shared.times import utc_now
from shared.volume import Volume
from worker.ipc.pulse import Pulse
from worker.machine.cards import card_environment
from worker.machine.memory import held_bytes, out_of_memory_kills, training_limit
from worker.machine.ownership import take_back
from worker.supervisor.child import Child
from worker.supervisor.clean_up import remove_halves, sweep_out
from worker.supervisor.heartbeat import Heartbeat
from worker.supervisor.outcome import Exit, decide
from worker.supervisor.programs import FilesWatch
from worker.supervisor.system_sampler import SystemSampler
from worker.supervisor.uploads import Uploads

_LOOK_SECONDS = 0.25

log = logging.getLogger(__name__)


class AttemptRun:
    """Runs one claimed attempt in the thread of one slot.

    `since`: the moment before the claim, by this machine's monotonic clock. `cards`: the GPUs of the slot, as CUDA
    names them. The child sees only as many as the claim says.
    """

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        attempt: AttemptFolder,
        since: float,
        volume: Volume,
        settings: Settings,
        drain: threading.Event,
        cards: Sequence[str] = (),
    ) -> None:
        self._cards = cards
        self._attempt = attempt
        self._since = since
        self._volume = volume
        self._settings = settings
        self._drain = drain
        self._asked_at: float | None = None
        self._pulse = Pulse(settings.child_start_seconds, "0:0")
        self._has_begun = False
        self._is_recorded = False
        self._uploads = Uploads(volume, attempt, settings.bucket_seconds)
        self._heard_at = time.monotonic()

    def run(self, child: Child) -> None:
        """Train in `child`, and record the end.

        If this process is killed, another worker continues. An attempt is handed back if the heartbeat could not be
        written to the volume, or the volume could not be read.
        """
        try:
            self._run(child)
        finally:
            self._uploads.end(is_ours=self._is_recorded)

    def _run(self, child: Child) -> None:
        trouble: OSError | None = None
        heartbeat = Heartbeat(self._attempt, self._settings, self._since)
        try:
            with heartbeat:
                self._tell(*_lost_before(self._attempt), _claim_event(self._attempt))
                # If the first heartbeat came late, another worker may have ended the attempt: start no child.
                end = None if heartbeat.is_lost else self._train(child, heartbeat)
                if end is not None and not heartbeat.is_lost:
                    self._record(end)
                    return
                trouble = heartbeat.trouble
        except OSError as error:
            trouble = error
        if trouble is None or not is_storage_error(trouble):
            self._give_way()
            return
        code = classify_storage_error(trouble, self._volume.root)
        reason = JobError(code=code, message=storage_message(code, trouble))
        # Nothing is trained while the volume fails, so the wait until the end can be written is not charged.
        held = min(heartbeat.held_seconds, self._elapsed())
        self._record(AttemptEnd(outcome="handed_back", ended_at=utc_now(), error=reason, held_seconds=held))

    def _train(self, child: Child, heartbeat: Heartbeat) -> AttemptEnd | None:
        """Train, and return how it ended; None if the attempt belongs to another worker by that time."""
        self._bring()
        self._uploads.begin()
        if (before := self._attempt.before) is not None:
            _own(before)
            remove_halves(before)
        claim = self._attempt.claim()
        cards = self._cards[: claim.devices if claim else 1]
        child.begin(self._attempt, card_environment(cards))
        self._heard_at = time.monotonic()
        log.info("%s attempt %d trains in process %s", self._attempt.job.id, self._attempt.number, child.pid)
        with SystemSampler(self._attempt, child.pid, self._since, cards[0] if cards else None):
            exit_ = self._watch(child, heartbeat)
        return None if heartbeat.is_lost or self._uploads.is_refused else decide(self._attempt, exit_, self._settings)

    def _bring(self) -> None:
        """Fetch what the job needs, if the volume is in a bucket."""
        record = self._attempt.job.record()
        bring(self._attempt.job.path)
        if record is not None:
            self._volume.bring_files(record)

    def _watch(self, child: Child, heartbeat: Heartbeat) -> Exit:
        """Wait for the child. Ask it to stop when the worker drains; kill it if it hangs or does not stop."""
        kills_before = out_of_memory_kills()
        files = FilesWatch(self._attempt, self._settings)
        most_bytes = training_limit(self._settings.max_training_bytes)
        because: str | None = None
        while because is None and not child.has_ended(_LOOK_SECONDS):
            because = self._reason_to_kill(child, heartbeat) or ("files" if files.is_too_much() else None)
            if because is None and most_bytes is not None and held_bytes(child.pid or 0) > most_bytes:
                because = "memory"
        if because == "hang":
            child.kill_and_keep_stacks()
        elif because:
            child.kill()
        self._hear(child)
        kills = out_of_memory_kills() - kills_before
        code = child.exit_code()
        was_asked = self._drain.is_set()
        exit_ = Exit(code, because, self._pulse.place, kills, self._has_begun, self._elapsed(), was_asked)
        child.close()
        _own(self._attempt)
        return exit_

    def _reason_to_kill(self, child: Child, heartbeat: Heartbeat) -> str | None:
        self._hear(child)
        if heartbeat.is_lost or self._uploads.is_refused:
            return "lost"
        if self._drain.is_set() and self._grace_is_over(child):
            return "drain"
        if self._is_cancelled() and self._grace_is_over(child):
            return "cancel"
        return "hang" if time.monotonic() - self._heard_at > self._pulse.silence_seconds else None

    def _is_cancelled(self) -> bool:
        """Whether the job was cancelled; False if the volume fails, since then a late heartbeat ends the attempt."""
        try:
            return self._attempt.job.cancel_file.exists()
        except OSError:
            return False

    def _hear(self, child: Child) -> None:
        heard = child.newest_pulse()
        if heard is not None:
            self._pulse, self._heard_at = heard, time.monotonic()
            self._has_begun = True

    def _grace_is_over(self, child: Child) -> bool:
        """Ask the child once to stop; return whether its grace time has ended. After a cancel it needs no signal."""
        if self._asked_at is None:
            self._asked_at = time.monotonic()
            if self._drain.is_set():
                child.ask_to_stop()
        return time.monotonic() - self._asked_at > self._settings.stop_grace_seconds

    def _record(self, end: AttemptEnd) -> None:
        """Record the end, unless another worker has recorded it first."""
        self._tell(*([_lost(self._attempt, end)] if end.counts_as_loss else []), _end_event(end))
        if end.held_seconds is None:
            end = end.model_copy(update={"held_seconds": self._elapsed()})
        if not self._close(end):
            self._give_way()
            return
        self._is_recorded = True
        log.info("%s attempt %d: %s", self._attempt.job.id, self._attempt.number, end.outcome)
        try:
            self._settle(end)
        except OSError as error:
            log.warning("the result of %s is left to the patrol: %s", self._attempt.job.id, error)

    def _give_way(self) -> None:
        log.warning("%s attempt %d belongs to another worker now", self._attempt.job.id, self._attempt.number)

    def _settle(self, end: AttemptEnd) -> None:
        record = self._attempt.job.record()
        if end.ending is not None and record is not None:
            self._attempt.job.settle(end.ending, self._attempt.number)
            self._volume.close_job(OpenJob.of(record))
            sweep_out(self._attempt.job)

    def _close(self, end: AttemptEnd) -> bool:
        """End the attempt. If the volume fails, retry until it works or another worker has ended the attempt.

        True if this end counts. No child runs any more, so to retry is safe however old the last heartbeat is: only the
        first end of an attempt counts.
        """
        told = ""
        while True:
            try:
                # Computed at each try: while the volume fails, the progress of the attempt cannot be read.
                has_progress = end.ending is None and made_progress(self._attempt)
                self._uploads.upload_all()
                return self._attempt.close(end.model_copy(update={"has_progress": has_progress}))
            except OtherDecision:
                # Its heartbeats have ended, so another worker ends it soon.
                return False
            except OSError as error:
                if told != (told := str(error)):
                    log.warning("the end of %s cannot be written yet: %s", self._attempt.job.id, error)
            if self._gives_up():
                return False
            time.sleep(_LOOK_SECONDS)

    def _elapsed(self) -> float:
        return round(time.monotonic() - self._since, 6)

    def _gives_up(self) -> bool:
        """Whether the worker drains and its grace time has ended, or the job's folder no longer exists."""
        if self._drain.is_set():
            self._asked_at = self._asked_at or time.monotonic()
            return time.monotonic() - self._asked_at > self._settings.stop_grace_seconds
        try:
            self._volume.check()
            return not self._attempt.path.exists()
        except OSError:
            return False

    def _tell(self, *events: Event) -> None:
        """Write events. An error of the volume is logged, because it must not prevent the attempt's end."""
        try:
            with EventWriter(self._attempt.events_file, self._since) as writer:
                writer.write(events)
                writer.sync()
        except OSError as error:
            log.warning("events of %s were not written: %s", self._attempt.job.id, error)


def _own(attempt: AttemptFolder) -> None:
    """Take ownership of the files that a program left as another user."""
    try:
        take_back(attempt.path)
    except OSError as error:
        log.warning("the files of %s stay another user's: %s", attempt.job.id, error)


def _claim_event(attempt: AttemptFolder) -> Event:
    claim = attempt.claim()
    if claim is None:
        raise FileNotFoundError(errno.ENOENT, "the claim is gone", str(attempt.claim_file))
    message = f"attempt {attempt.number} on {claim.host}, slot {claim.slot} ({claim.device})"
    facts = {"status": "running", "host": claim.host, "slot": claim.slot, "device": claim.device}
    return Event("state", message, facts)


def _lost_before(attempt: AttemptFolder) -> Iterator[Event]:
    """Yield the events of earlier lost attempts that have not been reported, newest first.

    An attempt that has events has reported the lost attempts before it.
    """
    for number in range(attempt.number - 1, 0, -1):
        earlier = AttemptFolder(attempt.path.with_name(str(number)), number)
        end = earlier.end()
        if end is not None and end.outcome == "lost" and end.error is not None and end.error.code == "worker_lost":
            yield _lost(earlier, end)
        if earlier.events_file.exists():
            return


def _lost(attempt: AttemptFolder, end: AttemptEnd) -> Event:
    claim, error = attempt.claim(), end.error
    assert claim is not None
    message = f"attempt {attempt.number} of worker {claim.owner} on {claim.host} was lost"
    facts = {
        "attempt": attempt.number,
        "worker": claim.owner,
        "host": claim.host,
        "code": error.code if error else None,
    }
    because = f": {error.message}" if error else ""
    return Event("lost", message + because, {**facts, "has_progress": end.has_progress}, "warning")


def _end_event(end: AttemptEnd) -> Event:
    status = end.ending.status if end.ending else "queued"
    facts = {"status": status, "outcome": end.outcome, "code": end.error.code if end.error else None}
    because = f": {end.error.message}" if end.error else ""
    if end.ending is not None:
        return Event("state", f"the job has {_PAST[status]}{because}", facts, "error" if because else "info")
    return Event("state", f"queued again, the attempt was {end.outcome.replace('_', ' ')}{because}", facts, "warning")


_PAST = {"succeeded": "succeeded", "failed": "failed", "cancelled": "been cancelled"}
