"""Notifies workers of new jobs after the answer: a client does not wait for Redis, on which no job depends.

A job is safe before workers are notified. If a notification is lost with a killed process, a worker's patrol finds the
job.
"""

import logging
import threading
import time
from queue import Empty, SimpleQueue

from shared.queue import MOST_PENDING, JobQueue

# In a storm of posts the jobs of this time share one look into Redis.
_PAUSE_SECONDS = 0.01

log = logging.getLogger(__name__)


class Notifier:
    """Notifies from a thread of its own, of waiting jobs together: a Redis that is away is tried once for them.

    Never of more than the queue takes at once, so that idle workers are notified of a whole burst.
    """

    def __init__(self, job_queue: JobQueue) -> None:
        self._queue = job_queue
        self._waiting: SimpleQueue[str] = SimpleQueue()
        threading.Thread(target=self._notify_forever, name="fitstop-notifier", daemon=True).start()

    def notify(self, job_id: str) -> None:
        """Say soon that there is work."""
        self._waiting.put(job_id)

    def _notify_forever(self) -> None:
        while True:
            job_ids = [self._waiting.get(), *self._waiting_too()]
            try:
                self._queue.notify(*job_ids)
            except Exception:
                # At the edge of a thread: without it nobody would notify any more.
                log.exception("the notification failed for %s; a worker's patrol finds the jobs", ", ".join(job_ids))
            time.sleep(_PAUSE_SECONDS)

    def _waiting_too(self) -> list[str]:
        found: list[str] = []
        try:
            while len(found) < MOST_PENDING - 1:
                found.append(self._waiting.get_nowait())
        except Empty:
            pass
        return found
