"""GET /healthz: this process answers. GET /readyz: a job posted now would be stored, heard and trained."""

import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from flask import Response, jsonify

from api.state.service import Service, service
from shared.times import seconds_since

_LOOK_SECONDS = 3


def alive() -> Response:
    """Answer 200 while the process is alive."""
    return jsonify({"status": "ok", "version": _version()})


def ready() -> tuple[Response, int]:
    """Answer 200 if all checks pass, else 503; each check reports its result."""
    held = service()
    checks = {"volume": _in_time(_volume, held), "redis": _redis(held), "workers": _in_time(_workers, held)}
    is_ready = all(check["ok"] for check in checks.values())
    return jsonify({"status": "ready" if is_ready else "not_ready", "checks": checks}), 200 if is_ready else 503


def _in_time(look: Callable[[Service], dict[str, Any]], held: Service) -> dict[str, Any]:
    """What `look` finds; a volume that hangs holds one thread, however many ask."""
    found = _eye().submit(look, held)
    try:
        return found.result(_LOOK_SECONDS)
    except TimeoutError:
        found.cancel()
        return _check(is_ok=False, detail=f"does not answer within {_LOOK_SECONDS} seconds")


@cache
def _eye() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="ready")


def _volume(held: Service) -> dict[str, Any]:
    probe = held.volume.root / f".ready-{secrets.token_hex(6)}.tmp"
    try:
        held.volume.check()
        probe.write_bytes(b"ready\n")
        probe.unlink()
        held.volume.check_room(held.settings.volume_reserve_bytes)
    except OSError as error:
        return _check(is_ok=False, detail=f"cannot be written ({error.strerror})")
    return _check(is_ok=True, detail="can be written")


def _redis(held: Service) -> dict[str, Any]:
    unheard = held.doorbell.unheard()
    if unheard is None:
        return _check(
            is_ok=False, detail="does not answer; jobs are still accepted, and workers find them on the volume"
        )
    return _check(is_ok=True, detail=f"answers; {unheard} notifications not received yet")


def _workers(held: Service) -> dict[str, Any]:
    lost_after = held.settings.take_over_seconds
    seen = [card for card in held.volume.worker_cards() if seconds_since(card.seen_at) <= lost_after]
    reasons = [reason for card in seen if (reason := card.unfit or card.paused)]
    detail = f"{len(seen)} seen in the last {lost_after:g} seconds"
    if reasons:
        detail += f"; {len(reasons)} claim no job: {reasons[0]}"
    return _check(is_ok=len(seen) > len(reasons), detail=detail)


def _check(*, is_ok: bool, detail: str) -> dict[str, Any]:
    return {"ok": is_ok, "detail": detail}


@cache
def _version() -> str:
    """Read once: each look at the metadata parses all of it."""
    try:
        return version("fitstop")
    except PackageNotFoundError:
        return "unknown"
