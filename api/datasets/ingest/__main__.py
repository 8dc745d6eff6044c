"""Parse `<folder>/upload` into `<folder>/data.parquet`.

stdin holds one JSON document: `format`, `missing_values`, `column_kinds`, `max_columns`, `max_cells`, `memory_bytes`.
stdout gets one: `{"facts": …}`, `{"problems": […]}` with every reason why the data cannot be taken, or `{"errno": …}`
where the volume fails.
"""

import hashlib
import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa

from api.datasets.ingest.csv_file import read_csv
from api.datasets.ingest.limits import Limits
from api.datasets.ingest.parquet_file import read_parquet
from api.datasets.ingest.reading import Reading
from api.datasets.ingest.table import check, profile, write
from shared.problems import Problem, Refused

_MOST_WARNINGS = 100


def main(folder: Path, order: dict[str, Any]) -> dict[str, Any]:
    """The answer for stdout."""
    limits = Limits(columns=order["max_columns"], cells=order["max_cells"])
    _bound_memory(order["memory_bytes"])
    try:
        return {"facts": _facts(folder, order, limits)}
    except Refused as refused:
        return {"problems": [vars(problem) for problem in refused.problems]}
    except MemoryError:
        detail = f"needs more than {order['memory_bytes']} bytes of memory to be read"
        return {"problems": [vars(Problem("#", detail, "too_heavy"))]}
    except OSError as error:
        if error.errno is None:
            raise
        return {"errno": error.errno}


def _facts(folder: Path, order: dict[str, Any], limits: Limits) -> dict[str, Any]:
    read = read_parquet if order["format"] == "parquet" else read_csv
    reading = Reading(order["missing_values"], order["column_kinds"])
    draft = read(folder / "upload", limits, reading)
    check(draft, limits, reading)
    data = folder / "data.parquet"
    write(draft.table, data)
    with data.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "data_sha256": sha256,
        "rows": draft.rows,
        "columns": [column.model_dump(mode="json") for column in profile(draft)],
        "left_out": draft.left_out,
        "warnings": _first(draft.warnings),
    }


def _first(warnings: list[str]) -> list[str]:
    more = len(warnings) - _MOST_WARNINGS
    return [*warnings[:_MOST_WARNINGS], f"and {more} more warnings"] if more > 0 else warnings


def _bound_memory(memory_bytes: int) -> None:
    """Let this process take so much more address space than it has now; where the system cannot, nothing happens."""
    pa.set_memory_pool(pa.system_memory_pool())
    pa.set_cpu_count(1)
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    except (OSError, ValueError):
        return


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), json.load(sys.stdin))), flush=True)  # noqa: T201
    # Without the interpreter's end: pyarrow's threads wait there for each other, without limit, when a reader of CSV
    # was given up before the end of its file (pyarrow 26: `BackgroundGenerator::Cleanup` on its own thread).
    os._exit(0)
