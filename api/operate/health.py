"""GET /healthz: whether the process is alive. GET /readyz: whether a posted job would be stored, queued and trained."""

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

    The check `webhooks` fails if webhooks exist and no sender runs; it does not change the status.
    """
    current = service()
    needed = {
        "volume": _run_in_time(_volume, current),
        "redis": _redis(current),
        "workers": _run_in_time(_workers, current),
    }
    is_ready = all(check.ok for check in needed.values())
    checks = Checks(**needed, webhooks=_webhooks(current))
    return json_response(Ready(status="ready" if is_ready else "not_ready", checks=checks), 200 if is_ready else 503)


def _run_in_time(look: Callable[[Service], Check], current: Service) -> Check:
    """The result of `look`, or a failed check after a time-out. If the volume hangs, only one thread waits for it."""
    found = _executor().submit(look, current)
    try:
        return found.result(_LOOK_SECONDS)
    except TimeoutError:
        found.cancel()
        return Check(ok=False, detail=f"does not answer within {_LOOK_SECONDS} seconds")


@cache
def _executor() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="ready")


def _volume(current: Service) -> Check:
    probe = current.volume.root / f".ready-{secrets.token_hex(6)}.tmp"
    try:
        current.volume.check()
        probe.write_bytes(b"ready\n")
        probe.unlink()
        current.volume.check_room(current.settings.volume_reserve_bytes)
    except OSError as error:
        return Check(ok=False, detail=f"cannot be written ({error.strerror})")
    return Check(ok=True, detail="can be written")


def _redis(current: Service) -> Check:
    if current.settings.redis_address is None:
        return Check(ok=True, detail="no Redis configured; workers check the volume on their own")
    pending = current.job_queue.count_pending()
    if pending is None:
        return Check(ok=False, detail="does not answer; jobs are still accepted, and workers find them on the volume")
    # The notifications are for jobs of all projects.
    pending_words = f"; {pending} notifications not received yet" if own_project() is None else ""
    return Check(ok=True, detail=f"answers{pending_words}")


def _workers(current: Service) -> Check:
    lost_after = current.settings.take_over_seconds
    seen = [card for card in current.volume.worker_cards() if seconds_since(card.seen_at) <= lost_after]
    reasons = [reason for card in seen if (reason := card.unfit or card.paused)]
    detail = f"{len(seen)} seen in the last {lost_after:g} seconds"
    if reasons:
        detail += f"; {len(reasons)} claim no jobs: {reasons[0]}"
    return Check(ok=len(seen) > len(reasons), detail=detail)


def _webhooks(current: Service) -> Check:
    try:
        if not current.webhooks.has_any():
            return Check(ok=True, detail="there are none")
        if current.webhooks.has_sender():
            return Check(ok=True, detail="a sender is running")
    except OSError as error:
        return Check(ok=False, detail=f"their folder cannot be read ({error.strerror})")
    return Check(
        ok=False, detail="no sender is running, so nothing is sent; start python -m fitstop.service api.webhooks"
    )


@cache
def _version() -> str:
    """The version of Fitstop, read once, since each read parses all metadata."""
    try:
        return version("fitstop")
    except PackageNotFoundError:
        return "unknown"
