"""Notifies workers of new jobs in a thread: no client waits for Redis, since no job depends on it.

A job is stored before workers are notified. If a notification is lost with a killed process, a worker's patrol finds
the job.
"""

import logging
import threading
import time
from queue import Empty, SimpleQueue

from shared.queue import MOST_PENDING, JobQueue

# The pause between two notifications. Jobs that are posted during it share the next one.
_PAUSE_SECONDS = 0.01

log = logging.getLogger(__name__)


class Notifier:
    """Notifies of all waiting jobs together, so that an unreachable Redis is tried once for all.

    It notifies of at most MOST_PENDING jobs at a time: the queue drops the rest.
    """

    def __init__(self, job_queue: JobQueue) -> None:
        self._queue = job_queue
        self._waiting: SimpleQueue[str] = SimpleQueue()
        threading.Thread(target=self._notify_forever, name="fitstop-notifier", daemon=True).start()

    def notify(self, job_id: str) -> None:
        """Notify workers of a job soon. Returns at once."""
        self._waiting.put(job_id)

    def _notify_forever(self) -> None:
        while True:
            job_ids = [self._waiting.get(), *self._take_waiting()]
            try:
                self._queue.notify(*job_ids)
            except Exception:
                # The thread must not end: no later job would be notified of.
                log.exception("the notification failed for %s; a worker's patrol finds the jobs", ", ".join(job_ids))
            time.sleep(_PAUSE_SECONDS)

    def _take_waiting(self) -> list[str]:
        found: list[str] = []
        try:
            while len(found) < MOST_PENDING - 1:
                found.append(self._waiting.get_nowait())
        except Empty:
            pass
        return found
