"""GET /workers: what each worker last said of itself."""

from typing import Any

from flask import Response, jsonify

from api.http.answer import list_report
from api.http.query import no_query
from api.state.service import service
from shared.times import seconds_since
from shared.worker_card import WorkerCard


def show_all() -> Response:
    """List the workers by name. It is for people: no decision depends on it, so clocks may differ."""
    no_query()
    lost_after = service().settings.take_over_seconds
    items = [worker_report(card, lost_after) for card in service().volume.worker_cards()]
    return jsonify(list_report(items, has_more=False))


def worker_report(card: WorkerCard, lost_after_seconds: float) -> dict[str, Any]:
    """One worker's card with how long ago it was written and what that means."""
    silent = seconds_since(card.seen_at)
    return {
        "object": "worker",
        "status": worker_status(card, lost_after_seconds),
        "last_seen_seconds": round(silent, 3),
        **card.model_dump(mode="json", exclude={"format"}),
    }


def worker_status(card: WorkerCard, lost_after_seconds: float) -> str:
    """lost, draining, unfit, paused, ready, busy or starting."""
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
