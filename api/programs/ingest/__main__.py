"""Make `<folder>/version/program.zip` of `<folder>/upload`, a `.py` file or a zip or tar of a folder.

stdin holds one JSON document: `script_name`, `max_files`, `max_bytes`, `memory_bytes`. stdout gets one: `{"facts": …}`,
`{"problems": […]}` with every reason why the program cannot be taken, or `{"errno": …}` where the volume fails.
"""

import json
import resource
import sys
import warnings
from pathlib import Path
from typing import Any

from api.programs.ingest.program import take_program
from shared.problems import Problem, Refused


def main(folder: Path, order: dict[str, Any]) -> dict[str, Any]:
    """The answer for stdout."""
    _bound_memory(order["memory_bytes"])
    warnings.simplefilter("ignore")
    try:
        return {"facts": take_program(folder, order["script_name"], order["max_files"], order["max_bytes"])}
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
    try:
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    except (OSError, ValueError):
        # macOS has no such limit.
        return


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), json.load(sys.stdin))), flush=True)  # noqa: T201
