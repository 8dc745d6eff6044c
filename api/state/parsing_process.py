"""Runs in the throw-away processes that parse uploads, which `api.state.parser` starts.

The argument is the folder, stdin the order as one JSON document. stdout gets one document: `{"facts": …}`,
`{"problems": […]}` with every reason to refuse the upload, or `{"errno": …}` if the volume fails. It does not import
Flask.
"""

import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shared.problems import Problem, Refused

Facts = dict[str, Any]


def run(take: Callable[[Path, dict[str, Any]], Facts]) -> None:
    """Call `take(folder, order)` within `memory_bytes` of the order, and print the answer."""
    order = json.load(sys.stdin)
    _bound_memory(order["memory_bytes"])
    print(json.dumps(_answer(take, Path(sys.argv[1]), order)), flush=True)  # noqa: T201


def _answer(take: Callable[[Path, dict[str, Any]], Facts], folder: Path, order: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"facts": take(folder, order)}
    except Refused as refused:
        return {"problems": [vars(problem) for problem in refused.problems]}
    except MemoryError:
        detail = f"needs more than {order['memory_bytes']} bytes of memory to be read"
        return {"problems": [vars(Problem("#", detail, "too_heavy"))]}
    except OSError as error:
        if error.errno is None:
            raise
        return {"errno": error.errno}


def _bound_memory(memory_bytes: int) -> None:
    """Limit this process to its current address space and `memory_bytes` more; macOS has no such limit."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    except (OSError, ValueError):
        return
