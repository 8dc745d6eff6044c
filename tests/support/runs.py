"""The context of a run, for tests of its parts."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from shared.events import EventWriter
from shared.job import JobRecord
from shared.job_folder import AttemptFolder
from shared.settings import Settings
from worker.training.background import BackgroundWriter
from worker.training.budget import BudgetWatch
from worker.training.context import RunContext
from worker.training.stop_requests import StopRequests


@contextmanager
def run_context(attempt: AttemptFolder, record: Any = None) -> Iterator[RunContext]:
    """The real parts of a run on `attempt`. At the end, everything given to the writer is on the disk."""
    given: JobRecord | None = record or attempt.job.record()
    with EventWriter(attempt.events_file) as events, BackgroundWriter() as writer:
        stop_requests, budget = StopRequests(attempt, 60), BudgetWatch(attempt, None, time.monotonic())
        yield RunContext(attempt, given, stop_requests, budget, Settings(), events, writer)  # type: ignore[arg-type]
