"""Redis and the queue of a world."""

from proofs.simulation.kernel import Kernel, Signal


class SimulatedQueue:
    """Redis and the queue in one. It sometimes loses or doubles messages. To a worker it is `shared.queue.JobQueue`."""

    def __init__(self, kernel: Kernel) -> None:
        self.notifications = 0
        self.away_until = 0.0
        self.notified = Signal()
        self._kernel = kernel

    def notify(self, *_job_ids: str) -> bool:
        if self._kernel.now < self.away_until:
            return False
        self.notifications += self._kernel.chance.choice([0, 1, 1, 1, 1, 2])
        self._kernel.fire(self.notified)
        return True

    def count_pending(self) -> int | None:
        return None if self._kernel.now < self.away_until else self.notifications

    def take(self) -> bool:
        """Take a notification, if there is one. Celery takes it off the list before it is acted on."""
        if self.notifications == 0 or self._kernel.now < self.away_until:
            return False
        self.notifications -= 1
        return True
