"""Watches the remaining budget of a job: compute time by this process's monotonic clock, a deadline by the wall clock.

A trial of a sweep also has a share of the sweep's budget, which may be raised while it runs.

How long a save takes cannot be predicted: on a busy machine it can take many times as long as the last one. So the
process itself reports how much of its time is charged. After the limit, only the batch that was running is charged.
"""

import math
import time

from shared.budget import Held, Limit, nearest_limit
from shared.held import held_by
from shared.job import Claim, SweepShare
from shared.job_folder import AttemptFolder
from shared.job_share import read_share
from shared.spec import Budget
from worker.training.errors import BudgetUsedUp, NoPrice

# A share is read again every two seconds, because its sweep may have changed the limit, and four times a second when
# less than five seconds of it are left.
_LOOK_SECONDS = 2.0
_NEAR_SECONDS = 5.0
_NEAR_LOOK_SECONDS = 0.25
# How long a process takes to exit after it has reported its end; only a deadline counts it. 0.04 to 0.08 s if idle.
_LEAVING_SECONDS = 0.1


class BudgetWatch:
    """Measures the compute time of one attempt since its claim, in addition to that of the earlier attempts.

    `claimed`: the moment of the claim by this machine's monotonic clock. `is_trial`: whether the job is a trial, which
    may get a share of a sweep's budget while it runs.
    """

    def __init__(
        self, attempt: AttemptFolder, budget: Budget | None, claimed: float, *, is_trial: bool = False
    ) -> None:
        self._budget = budget
        self._attempt = attempt
        self._claim = attempt.claim()
        self._share = read_share(attempt.job)
        self._is_trial = is_trial or self._share is not None
        self._looked = time.monotonic()
        self._before = _held_before(attempt) if budget or self._is_trial else []
        self._claimed = claimed
        self._last_batch = claimed

    def batch_done(self, moment: float) -> None:
        """Charge the time until `moment`, by the monotonic clock, in full, even beyond the limit."""
        self._last_batch = moment

    def charged_seconds(self) -> float:
        """Seconds of the attempt that are charged so far: from its claim until now.

        Maximum: what the budget allowed at the claim, or the time until the end of the last batch if that is more.
        """
        now = time.monotonic()
        charged = min(now, max(self._last_batch, now + self._seconds_to_limit()))
        return math.floor(max(0.0, charged - self._claimed) * 1e6) / 1e6

    def _seconds_to_limit(self) -> float:
        """Seconds until the compute time or the cost is used up; negative if they are."""
        budgets = [self._budget, self._share.budget if self._share else None]
        if self._claim is None:
            return math.inf
        counted = [budget.model_copy(update={"deadline": None}) for budget in budgets if budget is not None]
        limits = [self._nearest(budget, self._claim) for budget in counted]
        return min((limit.seconds_left for limit in limits if limit is not None), default=math.inf)

    def check(self, seconds_needed: float = 0.0) -> None:
        """Raise BudgetUsedUp if at most `seconds_needed` are left. Before a deadline, the time to exit is needed, too.

        Raises NoPrice if the budget limits the cost and this worker has no price.
        """
        if self._claim is None:
            return
        if self._budget is not None:
            _check_price(self._budget, self._claim, "job")
            _check_limit(self._nearest(self._budget, self._claim), seconds_needed)
        if (share := self._newest_share(_LOOK_SECONDS)) is not None:
            _check_price(share.budget, self._claim, "sweep")
            _check_limit(self._nearest_of_share(share, self._claim, seconds_needed), seconds_needed)

    def _nearest(self, budget: Budget, claim: Claim) -> Limit | None:
        return nearest_limit(budget, [*self._before, Held(claim, time.monotonic() - self._claimed)], _LEAVING_SECONDS)

    def _nearest_of_share(self, share: SweepShare, claim: Claim, seconds_needed: float) -> Limit | None:
        nearest = self._nearest(share.budget, claim)
        if nearest is not None and nearest.seconds_left <= seconds_needed + _NEAR_SECONDS:
            share = self._newest_share(_NEAR_LOOK_SECONDS) or share
            nearest = self._nearest(share.budget, claim)
        return nearest and Limit(nearest.used.model_copy(update={"sweep": share.sweep}), nearest.seconds_left)

    def _newest_share(self, interval: float) -> SweepShare | None:
        """The trial's share, read again if the last read is older than `interval` seconds."""
        now = time.monotonic()
        if self._is_trial and now - self._looked >= interval:
            self._looked = now
            self._share = read_share(self._attempt.job) or self._share
        return self._share


def _check_price(budget: Budget, claim: Claim, whose: str) -> None:
    if budget.max_cost is not None and claim.gpu_price_per_hour is None:
        raise NoPrice(
            f"the {whose} has a maximum cost and this worker has no price: "
            f"set FITSTOP_GPU_PRICE_PER_HOUR on it, or give the {whose} max_gpu_seconds instead"
        )


def _check_limit(nearest: Limit | None, seconds_needed: float) -> None:
    if nearest is not None and nearest.seconds_left <= seconds_needed:
        raise BudgetUsedUp(nearest.used)


def _held_before(attempt: AttemptFolder) -> list[Held]:
    earlier = [other for other in attempt.job.attempts() if other.number < attempt.number]
    found = ((other, other.claim(), other.end()) for other in earlier)
    return [Held(claim, held_by(other, claim, end) / 1e6) for other, claim, end in found if claim and end]
