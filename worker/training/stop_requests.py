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
        self._looked = 0.0
        self._beat: bytes | None = None
        self._beat_seen = time.monotonic()

    def listen(self) -> None:
        """Take SIGTERM as the request to hand the job back; Ctrl-C in a terminal is the worker's to decide on."""
        signal.signal(signal.SIGTERM, self._on_terminate)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def check(self) -> None:
        """Raise TrainingStopped or Superseded where somebody wants this run to stop."""
        if self._terminated:
            raise TrainingStopped("handed_back")
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return
        self._looked = now
        if self._attempt.end_file.exists():
            raise Superseded("the attempt has been ended by others")
        if self._attempt.job.cancel_file.exists():
            raise TrainingStopped("cancelled")
        self._check_heartbeat(now)

    def _check_heartbeat(self, now: float) -> None:
        beat = read_bytes(self._attempt.heartbeat_file)
        if beat is None or beat != self._beat:
            self._beat, self._beat_seen = beat, now
        elif now - self._beat_seen > self._self_stop_seconds:
            raise Superseded(f"no heartbeat of the worker for {self._self_stop_seconds:g} s")

    def _on_terminate(self, _signal: int, _frame: FrameType | None) -> None:
        self._terminated = True
