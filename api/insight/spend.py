"""Cost per hour of the running jobs."""

from cachetools import LRUCache
from flask import Flask, current_app

from api.shapes.insight import HourlyCost, SpendNow
from api.state.locked_cache import LockedCache
from api.state.service import service
from shared.document import UnusableDocument
from shared.job import Claim
from shared.job_folder import JobFolder

_KEY = "fitstop-claims"
_MOST_KEPT = 2000

_Claims = LockedCache[tuple[str, int], Claim]


def install(app: Flask) -> None:
    """Attach a cache of the claims of running attempts to `app`. A claim never changes."""
    app.extensions[_KEY] = LockedCache(LRUCache(_MOST_KEPT))


def spend_now(project: str | None) -> SpendNow:
    """The summed prices of the running attempts of a project, or of all if it is None. May be half a second old."""
    current = service()
    claims = [claim for one in current.places.taken(project) if (claim := _claim(current.volume.job_folder(one)))]
    sums: dict[str, float] = {}
    for claim in claims:
        if claim.gpu_price_per_hour is not None and claim.currency is not None:
            sums[claim.currency] = sums.get(claim.currency, 0.0) + claim.gpu_price_per_hour
    unpriced = sum(claim.gpu_price_per_hour is None or claim.currency is None for claim in claims)
    costs = [HourlyCost(currency=currency, per_hour=round(cost, 6)) for currency, cost in sorted(sums.items())]
    return SpendNow(running=len(claims), unpriced=unpriced, costs=costs)


def _claim(job: JobFolder) -> Claim | None:
    """The claim of the running attempt; None if none runs, or if it cannot be read."""
    claims: _Claims = current_app.extensions[_KEY]
    try:
        attempt = job.running_attempt()
        if attempt is None or job.result_file.exists():
            return None
        known = claims.find((job.id, attempt.number))
        claim = known or attempt.claim()
        return None if claim is None else claims.keep((job.id, attempt.number), claim)
    except UnusableDocument:
        return None
