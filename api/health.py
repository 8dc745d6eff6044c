"""GET /healthz: this process answers. GET /readyz: a job posted now would be stored, heard and trained."""

import secrets
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from flask import Response, jsonify

from api.service import Service, service
from shared.times import seconds_since


def alive() -> Response:
    """200 while the process answers."""
    return jsonify({"status": "ok", "version": _version()})


def ready() -> tuple[Response, int]:
    """200 when all checks hold, else 503; each check says what it found."""
    held = service()
    checks = {"volume": _volume(held), "redis": _redis(held), "workers": _workers(held)}
    is_ready = all(check["ok"] for check in checks.values())
    return jsonify({"status": "ready" if is_ready else "not_ready", "checks": checks}), 200 if is_ready else 503


def _volume(held: Service) -> dict[str, Any]:
    probe = held.volume.root / f".ready-{secrets.token_hex(6)}.tmp"
    try:
        probe.write_bytes(b"ready\n")
        probe.unlink()
    except OSError as error:
        return _check(is_ok=False, detail=f"cannot be written ({error.strerror})")
    return _check(is_ok=True, detail="can be written")


def _redis(held: Service) -> dict[str, Any]:
    unheard = held.doorbell.unheard()
    if unheard is None:
        return _check(is_ok=False, detail="does not answer; jobs are still taken, and found by the workers' sweep")
    return _check(is_ok=True, detail=f"answers; {unheard} rings not heard yet")


def _workers(held: Service) -> dict[str, Any]:
    lost_after = held.settings.take_over_seconds
    seen = [card for card in held.volume.worker_cards() if seconds_since(card.seen_at) <= lost_after]
    unfit = [card for card in seen if card.unfit]
    detail = f"{len(seen)} seen in the last {lost_after:g} seconds"
    if unfit:
        detail += f"; {len(unfit)} unfit: {unfit[0].unfit}"
    return _check(is_ok=len(seen) > len(unfit), detail=detail)


def _check(*, is_ok: bool, detail: str) -> dict[str, Any]:
    return {"ok": is_ok, "detail": detail}


@cache
def _version() -> str:
    """Read once: each look at the metadata parses all of it."""
    try:
        return version("fitstop")
    except PackageNotFoundError:
        return "unknown"
