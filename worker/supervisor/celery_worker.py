"""The Celery side of a worker: one task that receives notifications, and the signals of its start and its end.

The pool has a thread for each slot. Messages are acknowledged early and not prefetched: only a worker with a free slot
takes one, and nothing depends on a message that is lost.
"""

import logging
import os
from typing import Any

from celery import Celery
from celery.signals import worker_ready, worker_shutdown, worker_shutting_down

from shared.queue import QUEUE, TASK
from shared.settings import Settings
from worker.supervisor.gate import declare_on_clean_keys, make_gate
from worker.supervisor.slots import Worker

log = logging.getLogger(__name__)


def serve(app: Celery, worker: Worker, settings: Settings) -> None:
    """Receive notifications until the process is asked to end. SIGTERM or one Ctrl-C: drain, then return."""

    @app.task(name=TASK, ignore_result=True)
    def notify(job_id: str | None = None) -> None:
        """Run waiting jobs. The notification says only that there is work; the volume says which job is next."""
        log.debug("notified of %s", job_id)
        worker.run_next()

    def on_ready(**_: Any) -> None:
        worker.begin()

    def on_shutting_down(**_: Any) -> None:
        # Runs inside a signal handler, so it only sets a flag. The threads of the slots read it.
        worker.drain.set()

    def on_shutdown(**_: Any) -> None:
        worker.end()

    declare_on_clean_keys(app)
    app.steps["consumer"].add(make_gate(worker.may_take, worker.when_free))
    worker_ready.connect(on_ready, weak=False)
    worker_shutting_down.connect(on_shutting_down, weak=False)
    worker_shutdown.connect(on_shutdown, weak=False)
    app.worker_main(
        [
            "worker",
            "--pool=threads",
            f"--concurrency={settings.slots}",
            f"--queues={QUEUE}",
            f"--hostname=fitstop-{os.getpid()}@%h",
            f"--loglevel={settings.log_level}",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
        ]
    )
