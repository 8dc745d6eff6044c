"""The requests to stop a run, which the run checks between two batches.

cancel.json in the job's folder    the job was cancelled
stop.json in the job's folder      its sweep stops it: it cannot win, or the sweep's budget is used up
SIGTERM                            the worker drains: hand the job back
end.json in the attempt's folder   another worker has declared the attempt lost
a heartbeat that does not change   the worker hangs: stop before another worker takes over
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
    """Checks for requests to stop, at most four times a second.

    `self_stop_seconds`: for how long the worker's heartbeat may stay the same, by this process's own monotonic clock.
    Without a heartbeat, because the program was started by hand, this is not checked.
    """

    def __init__(self, attempt: AttemptFolder, self_stop_seconds: float) -> None:
        self._attempt = attempt
        self._self_stop_seconds = self_stop_seconds
        self._terminated = False
        self._looked = time.monotonic() - _LOOK_SECONDS
        self._beat = newest_beat(attempt)
        self._vouched_until = self._begun_at()

    def _begun_at(self) -> float:
        """Until when the worker was surely alive: the time of a first heartbeat; -inf if only a later one is known."""
        if self._beat is None:
            return time.monotonic()
        return self._beat.began if self._beat.count == 1 else -math.inf

    def listen(self) -> None:
        """Handle SIGTERM as a request to hand the job back. Ignore Ctrl-C, to which the worker reacts."""
        signal.signal(signal.SIGTERM, self._on_terminate)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def check(self) -> None:
        """Raise TrainingStopped or Superseded if there is a request to stop this run."""
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
        """Raise Superseded if the heartbeat is too old.

        After a long time without a check (a long batch, or the machine was frozen), even a new heartbeat may have come
        too late, and another worker may be taking over. So wait for the next heartbeat. It proves that nobody has taken
        over: a worker that is late sends no more heartbeats.
        """
        # If the heartbeat has disappeared with its folder, the last one that was read counts.
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
