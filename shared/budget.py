"""A job's budget: what its attempts have used, and what remains.

Compute time is that of the ledger: each attempt counts from its claim to its end, so that an interrupted job does not
get its budget again. A second on two GPUs counts as two. The owner of an attempt measures its time, which costs the
price of its worker at the claim. An attempt without a price, or in another currency, costs that of the newest attempt.

A deadline is compared with the wall clock of the machine that trains.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from shared.job import BudgetUsed, Claim
from shared.spec import Budget
from shared.times import seconds_until, utc_now

_HOUR = 3600.0


@dataclass(frozen=True)
class Held:
    """An attempt's claim, and for how many seconds it held its GPUs."""

    claim: Claim
    seconds: float


@dataclass(frozen=True)
class Limit:
    """One limit of a budget, how much of it is used, and the seconds until it is reached."""

    used: BudgetUsed
    seconds_left: float


def nearest_limit(budget: Budget, held: Sequence[Held], leaving_seconds: float = 0.0) -> Limit | None:
    """The limit that is reached first; None without a limit. `held`: all attempts, the newest last.

    A limit on the cost counts only if the newest attempt has a price. `leaving_seconds`: time that the process needs to
    exit; it must end before a deadline, and is not part of the compute time.
    """
    limits = [*_by_time(budget, held), *_by_cost(budget, held), *_by_deadline(budget, leaving_seconds)]
    return min(limits, key=lambda limit: limit.seconds_left, default=None)


def _by_time(budget: Budget, held: Sequence[Held]) -> list[Limit]:
    if budget.max_gpu_seconds is None:
        return []
    used = sum(one.seconds * one.claim.devices for one in held)
    devices = held[-1].claim.devices if held else 1
    return [_limit("max_gpu_seconds", budget.max_gpu_seconds, used, (budget.max_gpu_seconds - used) / devices)]


def _by_cost(budget: Budget, held: Sequence[Held]) -> list[Limit]:
    newest = held[-1].claim if held else None
    if budget.max_cost is None or newest is None or newest.gpu_price_per_hour is None:
        return []
    used = sum(one.seconds * _price(one.claim, newest) for one in held) / _HOUR
    each = newest.gpu_price_per_hour / _HOUR
    left = (budget.max_cost - used) / each if each else math.copysign(math.inf, budget.max_cost - used)
    return [_limit("max_cost", budget.max_cost, used, left, newest.currency)]


def _by_deadline(budget: Budget, leaving_seconds: float) -> list[Limit]:
    if budget.deadline is None:
        return []
    used = BudgetUsed(kind="deadline", limit=budget.deadline, used=utc_now())
    return [Limit(used, seconds_until(budget.deadline) - leaving_seconds)]


def _price(claim: Claim, newest: Claim) -> float:
    is_known = claim.gpu_price_per_hour is not None and claim.currency == newest.currency
    return (claim.gpu_price_per_hour if is_known else newest.gpu_price_per_hour) or 0.0


def _limit(kind: str, limit: float, used: float, left: float, currency: str | None = None) -> Limit:
    told = BudgetUsed.model_validate({"kind": kind, "limit": limit, "used": round(used, 6), "currency": currency})
    return Limit(told, left)


def used_words(used: BudgetUsed) -> str:
    """The used part of a limit in words, such as `4.87 of 5 seconds of compute time`."""
    whose = " of its sweep's budget" if used.sweep else ""
    if used.kind == "deadline":
        return f"the deadline of {used.limit}{whose}"
    unit = f" {used.currency or 'in cost'}" if used.kind == "max_cost" else " seconds of compute time"
    return f"{used.used:.4g} of {used.limit:g}{unit}{whose}"


def budget_words(budget: Budget) -> str:
    """All limits of a budget in words, such as `5 seconds of compute time, or a cost of 2.5`."""
    limits = [
        f"{budget.max_gpu_seconds:g} seconds of compute time" if budget.max_gpu_seconds is not None else None,
        f"a cost of {budget.max_cost:g}" if budget.max_cost is not None else None,
        f"the deadline of {budget.deadline}" if budget.deadline is not None else None,
    ]
    return ", or ".join(limit for limit in limits if limit)
