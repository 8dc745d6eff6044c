"""Rings for new jobs behind their answers: a client need not wait for Redis, whose ring it does not depend on.

A job is safe before it is rung for. What is not rung for any more when a process is killed, a worker's sweep finds.
"""

import logging
import threading
import time
from queue import Empty, SimpleQueue

from shared.queue import Doorbell

_MOST_AT_ONCE = 256
# A ring costs a tenth of a post, for one job as for many. After a quiet moment a job is rung for at once.
_MOMENT_SECONDS = 0.05

log = logging.getLogger(__name__)


class BellRinger:
    """Rings from a thread of its own, for all jobs at once that were posted since it rang last."""

    def __init__(self, doorbell: Doorbell, moment_seconds: float = _MOMENT_SECONDS) -> None:
        self._doorbell = doorbell
        self._moment_seconds = moment_seconds
        self._waiting: SimpleQueue[str] = SimpleQueue()
        threading.Thread(target=self._ring_for_ever, name="fitstop-bell", daemon=True).start()

    def ring(self, job_id: str) -> None:
        """Say soon that there is work."""
        self._waiting.put(job_id)

    def _ring_for_ever(self) -> None:
        rang_at = float("-inf")
        while True:
            first = self._waiting.get()
            time.sleep(max(0.0, rang_at + self._moment_seconds - time.monotonic()))
            job_ids = [first, *self._waiting_too()]
            rang_at = time.monotonic()
            try:
                self._doorbell.ring(*job_ids)
            except Exception:
                # At the edge of a thread: without it nobody would ring any more.
                log.exception("the doorbell failed for %s; a worker's sweep finds the jobs", ", ".join(job_ids))

    def _waiting_too(self) -> list[str]:
        found: list[str] = []
        try:
            while len(found) < _MOST_AT_ONCE:
                found.append(self._waiting.get_nowait())
        except Empty:
            pass
        return found
