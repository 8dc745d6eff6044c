"""What of the job's budget is left, by this process's own monotonic clock; the deadline by the clock on the wall."""

import time

from shared.budget import Held, Limit, nearest_limit
from shared.held import held_by
from shared.job import Claim
from shared.job_folder import AttemptFolder
from shared.spec import Budget
from worker.training.errors import BudgetUsedUp, NoPrice


class BudgetWatch:
    """Watches one attempt, from its claim, on top of what the attempts before it held their GPUs for.

    `claimed`: the moment of its claim by this machine's monotonic clock.
    """

    def __init__(self, attempt: AttemptFolder, budget: Budget | None, claimed: float) -> None:
        self._budget = budget
        self._claim = attempt.claim()
        self._before = _held_before(attempt) if budget else []
        self._claimed = claimed

    def check(self, seconds_needed: float = 0.0) -> None:
        """Raise BudgetUsedUp if less than `seconds` are left.

        Raises NoPrice where there is a limit on the cost and this worker does not know what its GPU costs.
        """
        if self._budget is None or self._claim is None:
            return
        if self._budget.max_cost is not None and self._claim.gpu_price_per_hour is None:
            raise NoPrice(
                f"the job has a maximum cost of {self._budget.max_cost:g} and this worker has no price: "
                "set FITSTOP_GPU_PRICE_PER_HOUR on it, or give the job max_gpu_seconds instead"
            )
        nearest = self._nearest(self._budget, self._claim)
        if nearest is not None and nearest.seconds_left <= seconds_needed:
            raise BudgetUsedUp(nearest.used)

    def _nearest(self, budget: Budget, claim: Claim) -> Limit | None:
        return nearest_limit(budget, [*self._before, Held(claim, time.monotonic() - self._claimed)])


def _held_before(attempt: AttemptFolder) -> list[Held]:
    earlier = [other for other in attempt.job.attempts() if other.number < attempt.number]
    found = ((other, other.claim(), other.end()) for other in earlier)
    return [Held(claim, held_by(other, claim, end) / 1e6) for other, claim, end in found if claim and end]
