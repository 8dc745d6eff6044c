"""Who may stop a run, and how the run finds out by itself, between two batches.

cancel.json in the job's folder       somebody does not want the job any more
SIGTERM                               the worker drains: hand the job back
end.json in the attempt's folder      others took the attempt for lost
a heartbeat that stands still         the worker hangs; others will take over, so stop before they do
"""

import signal
import time
from types import FrameType

from shared.durable import read_bytes
from shared.job_folder import AttemptFolder
from worker.training.errors import Superseded, TrainingStopped

_LOOK_SECONDS = 0.25


class StopRequests:
    """Looks for requests to stop, at most four times a second.

    `self_stop_seconds`: how long the worker's heartbeat may stand still, by this process's own monotonic clock; it is
    looked at only where there is one, so that the program also runs by hand.
    """

    def __init__(self, attempt: AttemptFolder, self_stop_seconds: float) -> None:
        self._attempt = attempt
        self._self_stop_seconds = self_stop_seconds
        self._terminated = False
        self._looked = time.monotonic() - _LOOK_SECONDS
        self._beat: bytes | None = None
        self._silent_since = self._looked

    def listen(self) -> None:
        """Take SIGTERM as the request to hand the job back; Ctrl-C in a terminal is the worker's to decide on."""
        signal.signal(signal.SIGTERM, self._on_terminate)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def check(self) -> None:
        """Raise TrainingStopped or Superseded where somebody wants this run to stop."""
        if self._terminated:
            raise TrainingStopped("handed_back")
        now = time.monotonic()
        before = self._looked
        if now - before < _LOOK_SECONDS:
            return
        self._looked = now
        self._stop_if_ended()
        if self._attempt.job.cancel_file.exists():
            raise TrainingStopped("cancelled")
        self._check_heartbeat(before, now)

    def _check_heartbeat(self, before: float, now: float) -> None:
        """`before` and `now`: when the look before this one and this one began.

        A new beat was written some time after the look before, so others may count from there. And a look on a volume
        that hangs is as old as its beginning.
        """
        beat = read_bytes(self._attempt.heartbeat_file)
        if beat is None:
            return
        since = self._silent_since
        if beat != self._beat:
            self._beat, self._silent_since = beat, before
            since = now
        self._stop_if_silent(since)
        if now - before > self._self_stop_seconds:
            self._wait_for_the_next_beat(now)

    def _wait_for_the_next_beat(self, now: float) -> None:
        """After so long without a look (a long batch, or this machine stood still) a beat may be of any age."""
        while read_bytes(self._attempt.heartbeat_file) == self._beat:
            self._stop_if_ended()
            self._stop_if_silent(now)
            time.sleep(_LOOK_SECONDS)

    def _stop_if_ended(self) -> None:
        if self._attempt.end_file.exists():
            raise Superseded("the attempt has been ended by others")

    def _stop_if_silent(self, since: float) -> None:
        if time.monotonic() - since > self._self_stop_seconds:
            raise Superseded(f"no heartbeat of the worker for {self._self_stop_seconds:g} s")

    def _on_terminate(self, _signal: int, _frame: FrameType | None) -> None:
        self._terminated = True
