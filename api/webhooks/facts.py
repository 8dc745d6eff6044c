"""The events of a job for webhooks. They are derived from the job's files, so they are the same after each restart."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.state.webhook_store import EventType
from shared.budget import Held, Limit, nearest_limit, used_words
from shared.explain import explain
from shared.held import held_by, held_so_far
from shared.job import AttemptEnd, Claim, JobRecord
from shared.job_folder import AttemptFolder, JobFolder, JobState
from shared.problems import cut
from shared.spec import JobSpec
from shared.times import microseconds, utc_now

# The fraction of a limit from which it is nearly used up.
NEARLY = 0.9
MOST_MESSAGE = 2000
_OF_STATUS: dict[str, EventType] = {
    "succeeded": "job.succeeded",
    "failed": "job.failed",
    "cancelled": "job.cancelled",
}


@dataclass(frozen=True)
class Subject:
    """The job or the sweep of an event, with the facts that webhooks filter by."""

    id: str
    project: str
    name: str | None
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class Fact:
    """One event. `moment_ns` is by the volume's clock. `key` is unique among the events of its job or sweep."""

    type: EventType
    key: str
    subject: Subject
    moment_ns: int
    body: dict[str, Any]

    @property
    def id(self) -> str:
        return f"{self.subject.id}-{self.key}"


@dataclass(frozen=True)
class _Attempt:
    folder: AttemptFolder
    claim: Claim
    end: AttemptEnd | None


def facts_of(job: JobFolder) -> tuple[list[Fact], bool] | None:
    """The events of a job, in order, and whether it has finished; None for a deleted job. Raises UnusableDocument.

    The result is read first, then the ends of the attempts, and their events last. So a later call returns the same
    events and perhaps more after them.
    """
    state = job.state()
    if state is None:
        return None
    found = [(folder, folder.claim(), folder.end()) for folder in job.attempts()]
    attempts = [_Attempt(folder, claim, end) for folder, claim, end in found if claim is not None]
    ending = _ending_facts(state, job) if state.result is not None else []
    budget = _budget_facts(state, attempts)
    *before, newest = [[_loss_fact(state, one)] if _is_lost(one) else [] for one in attempts] or [[]]
    return [*(fact for facts in before for fact in facts), *budget, *newest, *ending], state.result is not None


def _ending_facts(state: JobState, job: JobFolder) -> list[Fact]:
    assert state.result is not None
    ending, at = state.result.ending, state.result.finished_at
    moment = _moment_of(job.result_file)
    # A program has no rule here: its script's callback has one, which is only in the events.
    rule = state.record.spec.callbacks.early_stopping if isinstance(state.record.spec, JobSpec) else None
    message = " ".join(explain(state, None, rule))
    more = {"stop": ending.stop and ending.stop.model_dump(mode="json"), "error": _error_of(ending.error)}
    stopped_early = ending.stop is not None and ending.stop.reason == "early_stopping"
    kinds: list[EventType] = ["job.early_stopping"] if stopped_early else []
    return [_fact(kind, state, moment, at, message, **more) for kind in (*kinds, _OF_STATUS[ending.status])]


def _is_lost(attempt: _Attempt) -> bool:
    return attempt.end is not None and attempt.end.outcome == "lost"


def _loss_fact(state: JobState, attempt: _Attempt) -> Fact:
    assert attempt.end is not None
    number, end = attempt.folder.number, attempt.end
    reason = f": {end.error.message}" if end.error else ""
    message = f"Attempt {number} on {attempt.claim.host} was lost with its worker{reason}"
    more = {"error": _error_of(end.error), "attempt": number}
    return _fact("job.worker_lost", state, _moment_of(attempt.folder.end_file), end.ended_at, message, **more)


def _budget_facts(state: JobState, attempts: Sequence[_Attempt]) -> Iterator[Fact]:
    """The event of the first limit of which nine tenths are used. A deadline does not count for a finished job."""
    budget = state.record.spec.budget
    if budget is None or not attempts:
        return
    if state.result is not None:
        budget = budget.model_copy(update={"deadline": None})
    held = [Held(one.claim, _seconds_of(one)) for one in attempts]
    limit = nearest_limit(budget, held)
    if limit is None or not math.isfinite(limit.seconds_left):
        return
    total = _seconds_in_all(limit, sum(one.seconds for one in held), state.record)
    early = limit.seconds_left - (1 - NEARLY) * total
    if early > 0:
        return
    moment = _moment_of(attempts[-1].folder.claim_file) + round((held[-1].seconds + early) * 1e9)
    used = limit.used.model_dump(mode="json")
    message = f"The budget is nearly used up: {used_words(limit.used)}"
    yield _fact("job.budget_nearly_used", state, moment, utc_now(), message, budget=used)


def _seconds_of(attempt: _Attempt) -> float:
    claim, end = attempt.claim, attempt.end
    return (held_by(attempt.folder, claim, end) if end else held_so_far(attempt.folder, claim)) / 1e6


def _seconds_in_all(limit: Limit, held: float, record: JobRecord) -> float:
    """The whole limit in seconds: of compute time, or from the post of the job to its deadline."""
    if limit.used.kind == "deadline":
        return (microseconds(str(limit.used.limit)) - microseconds(record.created_at)) / 1e6
    return held + limit.seconds_left


def _fact(kind: EventType, state: JobState, moment_ns: int, at: str, message: str, **more: Any) -> Fact:
    record = state.record
    attempt = more.get("attempt")
    data = {
        "id": record.id,
        "name": record.spec.name or record.spec.source_id,
        "project": record.project,
        "metadata": dict(record.spec.metadata),
        "status": state.status,
        "message": cut(message, MOST_MESSAGE),
        **more,
    }
    key = kind.removeprefix("job.") + (f"-{attempt}" if attempt is not None else "")
    subject = Subject(record.id, record.project, record.spec.name, record.spec.metadata)
    return Fact(kind, key, subject, moment_ns, {"type": kind, "timestamp": at, "data": data})


def _error_of(error: Any) -> dict[str, str] | None:
    return error and {"code": cut(error.code, MOST_MESSAGE), "message": cut(error.message, MOST_MESSAGE)}


def _moment_of(path: Path) -> int:
    """The time of a file's last write by the volume's clock, in nanoseconds."""
    return path.stat(follow_symlinks=False).st_mtime_ns
