"""What every part of a run has around it."""

from dataclasses import dataclass

from shared.events import EventWriter
from shared.job import JobRecord
from shared.job_folder import AttemptFolder
from shared.settings import Settings
from worker.ipc import pulse
from worker.training.background import BackgroundWriter
from worker.training.budget import BudgetWatch
from worker.training.stop_requests import StopRequests


@dataclass(frozen=True)
class RunContext:
    """The attempt and its job's record, what may stop the run, where it tells, and the thread that writes for it."""

    attempt: AttemptFolder
    record: JobRecord
    stop_requests: StopRequests
    budget: BudgetWatch
    settings: Settings
    events: EventWriter
    writer: BackgroundWriter

    def check(self) -> None:
        """Raise where somebody wants the run to stop, or its budget is used up."""
        self.stop_requests.check()
        self.budget.check()

    def go_on(self) -> None:
        """Check, and tell the worker that the run is still getting ready for its first batch."""
        self.check()
        pulse.send(pulse.Pulse(self.settings.first_batch_seconds, "0:0"))
