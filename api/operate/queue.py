"""GET /queue: the waiting jobs, in the order in which workers claim them, and why each waits."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

from flask import Response

from api.auth.projects import PROJECT, read_project
from api.http.answer import json_response
from api.http.operation import AFTER_JOB, integer, json_answer, operation
from api.http.query import Query
from api.operate.workers import worker_status
from api.shapes.base import Page
from api.shapes.service import QueuedJob, WaitReason, Waits
from api.state.able_workers import able_workers, explain_unable
from api.state.queue_order import queued_jobs
from api.state.service import service
from shared.backoff import backs_off_until
from shared.ids import is_job_id
from shared.job import JobRecord
from shared.job_folder import JobState
from shared.spec import JobSpec, ProgramJobSpec
from shared.worker_card import WorkerCard


@dataclass(frozen=True)
class _Workers:
    """The numbers of live workers by status, for one kind of job. `paused` is the reason if all are paused, else ""."""

    alive: int
    draining: int
    unfit: int
    paused: str
    starting: int
    free_slots: int
    kept_for: frozenset[str]


@dataclass(frozen=True)
class _Fleet:
    """All workers, grouped by the kind of job that they can run."""

    cards: Sequence[WorkerCard]
    lost_after_seconds: float
    _found: dict[tuple[bool, int], _Workers] = field(default_factory=dict)

    def for_job(self, spec: JobSpec | ProgramJobSpec) -> _Workers:
        """The workers that can run a job with this spec."""
        kind = isinstance(spec, ProgramJobSpec), spec.devices
        if kind not in self._found:
            self._found[kind] = _workers(able_workers(spec, self.cards), self.lost_after_seconds)
        return self._found[kind]

    def explain_unable(self, spec: JobSpec | ProgramJobSpec) -> tuple[WaitReason, str] | None:
        """The reason why no live worker can ever run such a job; None if one can, or if no worker is live."""
        return explain_unable(spec, self.cards, self.lost_after_seconds)


@operation(
    "listQueue",
    "service",
    "List the queued jobs, and why they wait",
    {200: json_answer("The queue, next job first.", Page[QueuedJob])},
    query={"limit": integer(1, 1000, 100), "after": AFTER_JOB, "project": PROJECT},
)
def show_all() -> Response:
    """List the queue, next job first; `after` is the last job of the previous page.

    A position counts the jobs ahead of all projects, since the projects take turns.
    """
    with Query("limit", "after", "project") as query:
        limit = query.integer("limit", 100, 1, 1000)
        after = query.parse("after", _job_id, None)
        project = read_project(query)
    current = service()
    queue = enumerate(queued_jobs(current.volume, current.settings.project_weights), 1)
    waiting = [(place, job.job_id) for place, job in queue if project in {None, job.project}]
    start = next((number for number, (_, job_id) in enumerate(waiting, 1) if job_id == after), 0)
    workers = _Fleet(list(current.volume.worker_cards()), current.settings.take_over_seconds)
    shown = (_item(place, job_id, workers) for place, job_id in waiting[start:])
    found = list(islice((item for item in shown if item is not None), limit + 1))
    return json_response(Page[QueuedJob](object="list", data=found[:limit], has_more=len(found) > limit))


def _item(place: int, job_id: str, fleet: _Fleet) -> QueuedJob | None:
    """One waiting job; None if it was claimed or deleted in the meantime, or cannot be read."""
    try:
        state = service().volume.job_folder(job_id).state()
    except ValueError:
        return None
    if state is None or state.status != "queued":
        return None
    return QueuedJob(
        object="queued_job",
        id=job_id,
        project=state.record.project,
        name=state.record.spec.name or state.record.spec.source_id,
        priority=state.record.spec.priority,
        position=place,
        created_at=state.record.created_at,
        waits=_reason(place, state, fleet),
    )


def _reason(place: int, state: JobState, fleet: _Fleet) -> Waits:
    until = backs_off_until(state.end)
    workers, unable = fleet.for_job(state.record.spec), fleet.explain_unable(state.record.spec)
    ahead = place - 1
    reason: WaitReason
    if state.lacked_data and not service().volume.has_files(state.record):
        reason, detail = (
            "data_missing",
            "its program, its dataset or its weights are not on the volume; upload the same bytes again",
        )
    elif unable is not None:
        reason, detail = unable
    elif until is not None:
        reason, detail = "backoff", f"its last attempt ended early; the next attempt starts after {until}"
    else:
        reason, detail = _explain_no_worker(workers) or _explain_wait(ahead, workers, state.record)
    return Waits(reason=reason, detail=detail, ahead=ahead, until=until)


def _explain_no_worker(workers: _Workers) -> tuple[WaitReason, str] | None:
    """The reason why no worker claims any job; None if one does."""
    if workers.alive == 0:
        return "no_worker", "no worker is available"
    if workers.draining == workers.alive:
        return "draining", "every worker is draining and claims no new jobs"
    if workers.draining + workers.unfit == workers.alive:
        return "unfit", "no worker is fit to train; `fitstop workers` says why"
    if workers.paused:
        return "volume", f"the workers are paused: {workers.paused}"
    return None


def _explain_wait(ahead: int, workers: _Workers, record: JobRecord) -> tuple[WaitReason, str]:
    if workers.free_slots > ahead:
        return "next", "a slot is free; the job starts within seconds"
    if workers.free_slots == 0 and workers.starting:
        return "starting", "a worker is starting"
    if record.id in workers.kept_for:
        return "busy", f"a worker reserves its free slots for it, until they hold {record.spec.devices} devices"
    kept = " or reserved for a job on several devices" if workers.kept_for else ""
    return "busy", f"every slot is busy{kept}; {f'jobs ahead: {ahead}' if ahead else 'it is next in the queue'}"


def _workers(cards: Sequence[WorkerCard], lost_after_seconds: float) -> _Workers:
    alive = [(card, status) for card in cards if (status := worker_status(card, lost_after_seconds)) != "lost"]
    statuses = [status for _, status in alive]
    return _Workers(
        alive=len(alive),
        draining=statuses.count("draining"),
        unfit=statuses.count("unfit"),
        paused=_why_all_pause([card for card, status in alive if status not in {"draining", "unfit"}]),
        starting=statuses.count("starting"),
        free_slots=sum(card.slots - len(card.running) for card, status in alive if status == "ready"),
        kept_for=frozenset(card.kept_for for card, _ in alive if card.kept_for),
    )


def _why_all_pause(cards: Sequence[WorkerCard]) -> str:
    return cards[0].paused if cards and all(card.paused for card in cards) else ""


def _job_id(text: str) -> str:
    if not is_job_id(text):
        raise ValueError("a job's id")
    return text
