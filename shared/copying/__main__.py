"""`python -m shared.copying FROM TO`: a line of JSON for each progress report, then the result or the error."""

import json
import signal
import sys
from dataclasses import asdict
from typing import Any

from shared.copying.copy import copy_volume
from shared.problems import FitstopError
from shared.store.opening import open_store


def main(source: str, target: str) -> int:
    """Exit status 0 only for a complete copy. Ctrl-C ends it at once: unfinished files are copied again."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        done = copy_volume(open_store(source), open_store(target), lambda progress: _print(asdict(progress)))
    except (FitstopError, OSError) as error:
        _print({"error": str(error), "code": getattr(error, "code", "storage_error")})
        return 1
    _print({**asdict(done), "from": source, "to": target})
    return 0


def _print(document: dict[str, Any]) -> None:
    print(json.dumps(document), flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
