"""A worker without Redis: a thread for each slot waits for the notifications of the worker's own patrol.

Celery with kombu's in-memory transport was tried. It has no event loop that the gate could wake, receives one message a
second, and takes one message more than there are free slots, because Celery's `worker_disable_prefetch` works only with
Redis.
"""

import logging
import signal
import threading

from shared.queue import OwnQueue
from worker.supervisor.slots import Worker

log = logging.getLogger(__name__)


def serve_alone(own_queue: OwnQueue, worker: Worker, slots: int) -> None:
    """Run jobs until the process is asked to end. SIGTERM or Ctrl-C: drain, then return."""

    def drain(*_: object) -> None:
        # The handler runs in the main thread, which waits for the slots and holds none of these locks.
        worker.drain.set()
        own_queue.end()

    signal.signal(signal.SIGTERM, drain)
    signal.signal(signal.SIGINT, drain)
    worker.begin()
    threads = [
        threading.Thread(target=_run_jobs, args=(own_queue, worker), name=f"slot-{slot}") for slot in range(slots)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    worker.end()


def _run_jobs(own_queue: OwnQueue, worker: Worker) -> None:
    while (job_id := own_queue.receive()) is not None:
        log.debug("notified of %s", job_id)
        try:
            worker.run_next()
        except Exception:
            # The edge of a thread that must not end: a slot without a thread would take no more jobs.
            log.exception("a slot failed; it continues with the next notification")
