"""The ledger as a client sees it: `ledger` of a job, and GET /usage over all jobs that are over."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from flask import Response, jsonify

from api.histories import histories
from api.index_file import Wanted
from api.job_list import candidate_ids
from api.query import Query
from api.service import service
from shared.document import UnusableDocument
from shared.job import TERMINAL, JobRecord, JobResult
from shared.job_folder import JobFolder
from shared.ledger import PARTS, Held, Ledger, money
from shared.times import utc_now

_DEFAULT_DAYS = 30
_FIRST_DAY = date(2000, 1, 1)
_LAST_DAY = date(9998, 12, 31)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Over:
    """A job that is over."""

    record: JobRecord
    result: JobResult
    ledger: Ledger


# What the time of a job's attempts is summed by: for each attempt its group. The whole job is its last attempt's.
_GROUPS: dict[str, Callable[[_Over, Held | None], str]] = {
    "day": lambda job, _: job.result.finished_at[:10],
    "dataset": lambda job, _: job.record.spec.dataset.id,
    "key": lambda job, _: job.record.key_id or "(unknown)",
    "worker": lambda _, held: held.host if held else "(none)",
}


@dataclass
class _Sum:
    """The ledgers of several jobs, added up; times in microseconds."""

    jobs: int = 0
    waiting: int = 0
    avoided: int = 0
    avoided_epochs: int = 0
    unpriced: int = 0
    parts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PARTS, 0))
    costs: dict[str, dict[str, float]] = field(default_factory=dict)

    def add_job(self, ledger: Ledger) -> None:
        self.jobs += 1
        self.waiting += ledger.waiting
        self.avoided += ledger.avoided
        self.avoided_epochs += ledger.avoided_epochs
        last = ledger.held[-1] if ledger.held else None
        if last is not None and last.price_per_hour is not None and last.currency is not None:
            self._cost(last.currency)["avoided"] += money(ledger.avoided, last.price_per_hour)

    def add_held(self, held: Held) -> None:
        for name, time in held.parts.items():
            self.parts[name] += time
        if held.price_per_hour is None or held.currency is None:
            self.unpriced += held.total
            return
        cost = self._cost(held.currency)
        for name, time in held.parts.items():
            cost[name] += money(time, held.price_per_hour)

    def _cost(self, currency: str) -> dict[str, float]:
        return self.costs.setdefault(currency, dict.fromkeys((*PARTS, "avoided"), 0.0))

    def report(self) -> dict[str, Any]:
        return {
            "waiting_seconds": self.waiting / 1e6,
            "gpu_seconds": {
                **{name: time / 1e6 for name, time in self.parts.items()},
                "total": sum(self.parts.values()) / 1e6,
            },
            "avoided": {"epochs": self.avoided_epochs, "gpu_seconds": self.avoided / 1e6},
            "costs": [_cost_report(currency, cost) for currency, cost in sorted(self.costs.items())],
            "unpriced_gpu_seconds": self.unpriced / 1e6,
        }


def ledger_report(ledger: Ledger) -> dict[str, Any]:
    """The `ledger` of a job."""
    total = _Sum()
    total.add_job(ledger)
    for held in ledger.held:
        total.add_held(held)
    return {**total.report(), "median_epoch_seconds": ledger.median_epoch_seconds}


def show() -> Response:
    """Sum the ledgers of the jobs that ended from `from` to `to` (days, UTC), in groups."""
    today = date.fromisoformat(utc_now()[:10])
    with Query("by", "from", "to") as query:
        by = query.parsed("by", _group, "day")
        last = query.parsed("to", _day, today)
        first = query.parsed("from", _day, max(_FIRST_DAY, last - timedelta(days=_DEFAULT_DAYS - 1)))
    groups: dict[str, _Sum] = {}
    total = _Sum()
    for job in _jobs_over(first, last):
        held = job.ledger.held
        for each in (groups.setdefault(_GROUPS[by](job, held[-1] if held else None), _Sum()), total):
            each.add_job(job.ledger)
        for one in held:
            groups.setdefault(_GROUPS[by](job, one), _Sum()).add_held(one)
            total.add_held(one)
    rows = [{by: group, "jobs": summed.jobs, **summed.report()} for group, summed in sorted(groups.items())]
    return jsonify(
        {
            "object": "usage",
            "by": by,
            "from": first.isoformat(),
            "to": last.isoformat(),
            "data": rows,
            "total": {"jobs": total.jobs, **total.report()},
        }
    )


def _jobs_over(first: date, last: date) -> Iterator[_Over]:
    """The jobs that ended in these days; a damaged one is logged and left out."""
    behind = (last + timedelta(days=1)).isoformat()
    for job_id in candidate_ids(Wanted(statuses=TERMINAL, created_before=behind)):
        folder = service().volume.job_folder(job_id)
        try:
            result = folder.result()
            if result is None or not first.isoformat() <= result.finished_at[:10] <= last.isoformat():
                continue
            yield from _over(folder, result)
        except UnusableDocument as error:
            log.error("%s is left out of the usage: %s", job_id, error)


def _over(folder: JobFolder, result: JobResult) -> Iterator[_Over]:
    record = folder.record()
    if record is not None:
        yield _Over(record, result, histories().ledger(folder))


def _cost_report(currency: str, cost: dict[str, float]) -> dict[str, Any]:
    parts = {name: round(cost[name], 6) for name in PARTS}
    total = round(sum(parts.values()), 6)
    return {"currency": currency, **parts, "total": total, "avoided": round(cost["avoided"], 6)}


def _group(text: str) -> str:
    if text not in _GROUPS:
        raise ValueError(f"one of {', '.join(_GROUPS)}")
    return text


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or len(text) != 10 or not _FIRST_DAY <= day <= _LAST_DAY:
        raise ValueError("a day such as 2026-11-23")
    return day
