"""Redis and the doorbell of a world."""

from proofs.simulation.kernel import Kernel, Signal


class Bell:
    """Redis and the doorbell in one: rings are lost and doubled at times; as `shared.queue.Doorbell` to a worker."""

    def __init__(self, kernel: Kernel) -> None:
        self.rings = 0
        self.away_until = 0.0
        self.rung = Signal()
        self._kernel = kernel

    def ring(self, _job_id: str) -> bool:
        if self._kernel.now < self.away_until:
            return False
        self.rings += self._kernel.chance.choice([0, 1, 1, 1, 1, 2])
        self._kernel.fire(self.rung)
        return True

    def unheard(self) -> int | None:
        return None if self._kernel.now < self.away_until else self.rings

    def take(self) -> bool:
        """A ring, where there is one: Celery takes it off the list before it is acted on."""
        if self.rings == 0 or self._kernel.now < self.away_until:
            return False
        self.rings -= 1
        return True
