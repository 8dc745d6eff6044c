"""GET /healthz: this process answers. GET /readyz: a job posted now would be stored, heard and trained."""

import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from flask import Response

from api.auth.projects import own_project
from api.http.answer import json_response
from api.http.operation import JSON, PROBLEM, Answer, json_answer, operation
from api.http.problems import ProblemDocument
from api.shapes.service import Alive, Check, Checks, Ready
from api.state.service import Service, service
from shared.times import seconds_since

_LOOK_SECONDS = 3


@operation("alive", "service", "Check that the process is alive", {200: json_answer("Alive.", Alive)})
def alive() -> Response:
    """Answer 200 while the process is alive."""
    return json_response(Alive(status="ok", version=_version()))


@operation(
    "ready",
    "service",
    "Check whether the service is ready to run jobs",
    {
        200: json_answer("Ready.", Ready),
        503: Answer("Not ready; the checks say why.", {JSON: Ready, PROBLEM: ProblemDocument}),
    },
)
def ready() -> Response:
    """Answer 200 if the checks of what a job needs pass, else 503; each check reports its result.

    The check `webhooks` fails where webhooks exist and no sender runs; it does not change the status.
    """
    held = service()
    needed = {"volume": _in_time(_volume, held), "redis": _redis(held), "workers": _in_time(_workers, held)}
    is_ready = all(check.ok for check in needed.values())
    checks = Checks(**needed, webhooks=_webhooks(held))
    return json_response(Ready(status="ready" if is_ready else "not_ready", checks=checks), 200 if is_ready else 503)


def _in_time(look: Callable[[Service], Check], held: Service) -> Check:
    """What `look` finds; a volume that hangs holds one thread, however many ask."""
    found = _eye().submit(look, held)
    try:
        return found.result(_LOOK_SECONDS)
    except TimeoutError:
        found.cancel()
        return Check(ok=False, detail=f"does not answer within {_LOOK_SECONDS} seconds")


@cache
def _eye() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="ready")


def _volume(held: Service) -> Check:
    probe = held.volume.root / f".ready-{secrets.token_hex(6)}.tmp"
    try:
        held.volume.check()
        probe.write_bytes(b"ready\n")
        probe.unlink()
        held.volume.check_room(held.settings.volume_reserve_bytes)
    except OSError as error:
        return Check(ok=False, detail=f"cannot be written ({error.strerror})")
    return Check(ok=True, detail="can be written")


def _redis(held: Service) -> Check:
    if held.settings.redis_address is None:
        return Check(ok=True, detail="no Redis configured; workers check the volume on their own")
    pending = held.job_queue.count_pending()
    if pending is None:
        return Check(ok=False, detail="does not answer; jobs are still accepted, and workers find them on the volume")
    # They are for jobs of all projects.
    pending_words = f"; {pending} notifications not received yet" if own_project() is None else ""
    return Check(ok=True, detail=f"answers{pending_words}")


def _workers(held: Service) -> Check:
    lost_after = held.settings.take_over_seconds
    seen = [card for card in held.volume.worker_cards() if seconds_since(card.seen_at) <= lost_after]
    reasons = [reason for card in seen if (reason := card.unfit or card.paused)]
    detail = f"{len(seen)} seen in the last {lost_after:g} seconds"
    if reasons:
        detail += f"; {len(reasons)} claim no jobs: {reasons[0]}"
    return Check(ok=len(seen) > len(reasons), detail=detail)


def _webhooks(held: Service) -> Check:
    try:
        if not held.webhooks.has_any():
            return Check(ok=True, detail="there are none")
        if held.webhooks.has_sender():
            return Check(ok=True, detail="a sender is running")
    except OSError as error:
        return Check(ok=False, detail=f"their folder cannot be read ({error.strerror})")
    return Check(
        ok=False, detail="no sender is running, so nothing is sent; start python -m fitstop.service api.webhooks"
    )


@cache
def _version() -> str:
    """Read once: each look at the metadata parses all of it."""
    try:
        return version("fitstop")
    except PackageNotFoundError:
        return "unknown"
