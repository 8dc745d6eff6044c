"""GET /queue: the jobs that wait, in the order in which they are served, and why each waits."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from flask import Response, jsonify

from api.query import Query
from api.queue_order import queued_jobs
from api.report import list_report
from api.service import service
from api.workers import worker_status
from shared.ids import is_job_id
from shared.job import AttemptEnd
from shared.job_folder import JobState
from shared.times import seconds_until
from shared.worker_card import WorkerCard

# A moment further off was written by a clock that is wrong, and no worker waits for it (worker.claim).
_MOST_BACKOFF_SECONDS = 300


@dataclass(frozen=True)
class _Workers:
    """The workers that are there, as far as a waiting job is concerned."""

    alive: int
    draining: int
    unfit: int
    starting: int
    free_slots: int


def show_all() -> Response:
    """The queue from its head; `after` is the last job of the page before."""
    with Query("limit", "after") as query:
        limit = query.integer("limit", 100, 1, 1000)
        after = query.parsed("after", _job_id, None)
    waiting = list(enumerate(queued_jobs(service().volume), 1))
    start = next((place for place, job_id in waiting if job_id == after), 0)
    workers = _workers(service().volume.worker_cards(), service().settings.take_over_seconds)
    shown = (_item(place, job_id, workers) for place, job_id in waiting[start:])
    found = list(islice((item for item in shown if item is not None), limit + 1))
    return jsonify(list_report(found[:limit], has_more=len(found) > limit))


def _item(place: int, job_id: str, workers: _Workers) -> dict[str, Any] | None:
    """One waiting job; None for one that was taken or deleted meanwhile, or cannot be read."""
    try:
        state = service().volume.job_folder(job_id).state()
    except ValueError:
        return None
    if state is None or state.status != "queued":
        return None
    return {
        "object": "queued_job",
        "id": job_id,
        "name": state.record.spec.name,
        "priority": state.record.spec.priority,
        "position": place,
        "created_at": state.record.created_at,
        "waits": _reason(place, state, workers),
    }


def _reason(place: int, state: JobState, workers: _Workers) -> dict[str, Any]:
    until = _backs_off_until(state.end)
    ahead = place - 1
    if until is not None:
        reason, detail = "backoff", f"its last attempt failed; it is tried again after {until}"
    elif workers.alive == 0:
        reason, detail = "no_worker", "no worker is there"
    elif workers.draining == workers.alive:
        reason, detail = "draining", "every worker is being taken away and takes no more jobs"
    elif workers.draining + workers.unfit == workers.alive:
        reason, detail = "unfit", "no worker is fit to train; `fitstop workers` says why"
    elif workers.free_slots > ahead:
        reason, detail = "next", "a slot is free; it is taken within seconds"
    elif workers.free_slots == 0 and workers.starting:
        reason, detail = "starting", "a worker is starting"
    else:
        reason, detail = "busy", f"every slot is taken, and {ahead} other{'s' * (ahead != 1)} are served first"
    return {"reason": reason, "detail": detail, "ahead": ahead, "until": until}


def _backs_off_until(end: AttemptEnd | None) -> str | None:
    if end is None or end.retry_at is None:
        return None
    return end.retry_at if 0 < seconds_until(end.retry_at) <= _MOST_BACKOFF_SECONDS else None


def _workers(cards: Sequence[WorkerCard], lost_after_seconds: float) -> _Workers:
    alive = [(card, status) for card in cards if (status := worker_status(card, lost_after_seconds)) != "lost"]
    statuses = [status for _, status in alive]
    return _Workers(
        alive=len(alive),
        draining=statuses.count("draining"),
        unfit=statuses.count("unfit"),
        starting=statuses.count("starting"),
        free_slots=sum(card.slots - len(card.running) for card, status in alive if status == "ready"),
    )


def _job_id(text: str) -> str:
    if not is_job_id(text):
        raise ValueError("a job's id")
    return text
