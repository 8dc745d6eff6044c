"""The API's side of the throw-away processes that parse uploads: it sends an order and gets facts or problems.

Their own side is `api.state.parsing_process`.
"""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from api.http.problems import HttpProblem
from api.state.incoming import parser_environment
from api.state.service import service
from shared.problems import Problem, Refused

_GIB = 1024**3

log = logging.getLogger(__name__)


def parse_upload(module: str, folder: Path, upload_bytes: int, order: dict[str, Any]) -> dict[str, Any]:
    """Parse an upload by `python -m <module> <folder>`, within limits of time and memory. Return its facts.

    The process reads the order from stdin, with `memory_bytes` added, and answers on stdout with one JSON document:
    `facts`, `problems`, or `errno` if the volume fails. Raises Refused, OSError and HttpProblem (500, 503).
    """
    current = service()
    wait_seconds = current.settings.ingest_timeout_seconds
    if not current.parsers.acquire(timeout=wait_seconds):
        raise HttpProblem(503, "busy", "other uploads are being parsed; try again later", retry_after=10)
    try:
        whole = {**order, "memory_bytes": current.settings.ingest_memory_bytes}
        answer = _run(module, folder, whole, wait_seconds * (1 + upload_bytes // _GIB))
    finally:
        current.parsers.release()
    if "errno" in answer:
        raise OSError(answer["errno"], os.strerror(answer["errno"]), str(folder))
    if "problems" in answer:
        raise Refused([Problem(**problem) for problem in answer["problems"]])
    facts: dict[str, Any] = answer["facts"]
    return facts


def ingest_environment() -> dict[str, str]:
    """The environment of a process that parses an upload."""
    # Arrow's own allocator reserves 1 GiB of address space at once, which would count against the memory limit.
    return {**parser_environment(), "ARROW_DEFAULT_MEMORY_POOL": "system"}


def _run(module: str, folder: Path, order: dict[str, Any], timeout_seconds: float) -> dict[str, Any]:
    command = [sys.executable, "-P", "-m", module, str(folder)]
    try:
        done = subprocess.run(
            command,
            input=json.dumps(order).encode(),
            capture_output=True,
            env=ingest_environment(),
            timeout=timeout_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        detail = f"took longer than {timeout_seconds:g} seconds to read"
        raise Refused([Problem("#", detail, "too_heavy")]) from None
    if done.returncode < 0:
        detail = f"could not be read within {order['memory_bytes']} bytes of memory"
        raise Refused([Problem("#", detail, "too_heavy")])
    if done.returncode > 0:
        log.error("reading an upload failed: %s", done.stderr[-4000:].decode(errors="replace"))
        raise HttpProblem(500, "internal_error", "reading the upload failed; the log has the reason")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
