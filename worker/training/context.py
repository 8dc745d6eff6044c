"""What every part of a run needs: the attempt, its record, its limits, and where it reports."""

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
    """One run. `stop_requests` and `budget` may stop it; `events` is its report, and `writer` its writer thread."""

    attempt: AttemptFolder
    record: JobRecord
    stop_requests: StopRequests
    budget: BudgetWatch
    settings: Settings
    events: EventWriter
    writer: BackgroundWriter

    def check(self) -> None:
        """Raise TrainingStopped or Superseded if a stop was requested or the budget is used up."""
        self.stop_requests.check()
        self.budget.check()

    def keep_alive(self) -> None:
        """Call `check`, and report to the worker that the run is alive. For use while no batches run."""
        self.check()
        pulse.send(pulse.Pulse(self.settings.first_batch_seconds, "0:0"))
