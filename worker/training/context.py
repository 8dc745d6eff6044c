"""What every part of a run needs."""

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
    """The attempt and its job's record, what may stop the run, where it reports, and its writer thread."""

    attempt: AttemptFolder
    record: JobRecord
    stop_requests: StopRequests
    budget: BudgetWatch
    settings: Settings
    events: EventWriter
    writer: BackgroundWriter

    def check(self) -> None:
        """Raise if a stop was requested or the budget is used up."""
        self.stop_requests.check()
        self.budget.check()

    def go_on(self) -> None:
        """Check, and report to the worker that the run still prepares its first batch."""
        self.check()
        pulse.send(pulse.Pulse(self.settings.first_batch_seconds, "0:0"))
