"""Who may stop a run, and how the run finds out by itself, between two batches.

cancel.json in the job's folder       somebody does not want the job any more
stop.json in the job's folder         its sweep stops it: it cannot win, or the sweep's budget is used up
SIGTERM                               the worker drains: hand the job back
end.json in the attempt's folder      others took the attempt for lost
a heartbeat that stands still         the worker hangs; others will take over, so stop before they do
"""

import math
import signal
import time
from types import FrameType

from shared.job_folder import AttemptFolder
from worker.ipc.beat import Beat, newest_beat
from worker.training.errors import BudgetUsedUp, CannotWin, Superseded, TrainingStopped

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
        self._beat = newest_beat(attempt)
        self._vouched_until = self._begun_at()

    def _begun_at(self) -> float:
        """The first beat is written before the program starts; where it was not read in time, the next one decides."""
        if self._beat is None:
            return time.monotonic()
        return self._beat.began if self._beat.count == 1 else -math.inf

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
        self._stop_if_ended()
        if self._attempt.job.cancel_file.exists():
            raise TrainingStopped("cancelled")
        if self._attempt.job.stop_file.exists():
            self._stop_for_sweep()
        self._check_heartbeat()

    def _stop_for_sweep(self) -> None:
        request = self._attempt.job.stop_request()
        if request is not None and request.budget is not None:
            raise BudgetUsedUp(request.budget)
        if request is not None and request.outclassed is not None:
            raise CannotWin(request.outclassed)

    def _check_heartbeat(self) -> None:
        """A beat vouches for the worker until it is too old, and for the time before it if that was not too long.

        After that time without a look (a long batch, or this machine stood still) it may have arrived too late for
        others, who take over at this moment. The next one settles that: a worker that was late never beats again.
        """
        # The last one that was there, where it has disappeared with its folder.
        beat = self._beat = newest_beat(self._attempt) or self._beat
        if beat is None:
            return
        now = time.monotonic()
        self._stop_if_silent(beat.began)
        if now - self._vouched_until > self._self_stop_seconds:
            beat = self._first_beat_after(now)
        self._vouched_until = beat.began

    def _first_beat_after(self, moment: float) -> Beat:
        while (beat := newest_beat(self._attempt)) is None or beat.began <= moment:
            self._stop_if_ended()
            self._stop_if_silent(moment)
            time.sleep(_LOOK_SECONDS)
        return beat

    def _stop_if_ended(self) -> None:
        if self._attempt.end_file.exists():
            raise Superseded("the attempt has been ended by another worker")

    def _stop_if_silent(self, since: float) -> None:
        if time.monotonic() - since > self._self_stop_seconds:
            raise Superseded(f"no heartbeat of the worker for {self._self_stop_seconds:g} s")

    def _on_terminate(self, _signal: int, _frame: FrameType | None) -> None:
        self._terminated = True
