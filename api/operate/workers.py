"""GET /workers: the last report of each worker."""

from flask import Response

from api.auth.projects import reaches_job
from api.http.answer import json_response
from api.http.operation import json_answer, operation
from api.http.query import no_query
from api.shapes.base import Page, take_fields
from api.shapes.service import Worker, WorkerStatus
from api.state.service import service
from shared.times import seconds_since
from shared.worker_card import WorkerCard


@operation("listWorkers", "service", "List the workers", {200: json_answer("The complete list.", Page[Worker])})
def show_all() -> Response:
    """List the workers by name, each with the jobs that it runs of the projects that the caller reaches.

    It is for people: no decision depends on it, so clocks may differ.
    """
    no_query()
    lost_after = service().settings.take_over_seconds
    items = [
        take_fields(
            Worker,
            card,
            object="worker",
            running=tuple(one for one in card.running if reaches_job(one.job)),
            kept_for=card.kept_for if card.kept_for and reaches_job(card.kept_for) else "",
            status=worker_status(card, lost_after),
            last_seen_seconds=round(seconds_since(card.seen_at), 3),
        )
        for card in service().volume.worker_cards()
    ]
    return json_response(Page[Worker](object="list", data=items, has_more=False))


def worker_status(card: WorkerCard, lost_after_seconds: float) -> WorkerStatus:
    """The status of a worker, from its card and the age of the card."""
    if seconds_since(card.seen_at) > lost_after_seconds:
        return "lost"
    if card.draining:
        return "draining"
    if card.unfit:
        return "unfit"
    if card.paused:
        return "paused"
    if card.ready:
        return "ready"
    return "busy" if card.running else "starting"
