"""Parse `<folder>/upload` into `<folder>/data.parquet`.

stdin holds one JSON document: `format`, `max_columns`, `max_cells`, `memory_bytes`. stdout gets one: `{"facts": …}`,
or `{"problems": […]}` with every reason why the data cannot be taken.
"""

import hashlib
import json
import resource
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa

from api.ingest.csv_file import read_csv
from api.ingest.limits import Limits
from api.ingest.parquet_file import read_parquet
from api.ingest.table import checked, profiled, write
from shared.problems import Problem, Refused


def main(folder: Path, order: dict[str, Any]) -> dict[str, Any]:
    """The answer for stdout."""
    limits = Limits(columns=order["max_columns"], cells=order["max_cells"])
    _bound_memory(order["memory_bytes"])
    try:
        return {"facts": _facts(folder, order["format"], limits)}
    except Refused as refused:
        return {"problems": [vars(problem) for problem in refused.problems]}
    except MemoryError:
        detail = f"needs more than {order['memory_bytes']} bytes of memory to be read"
        return {"problems": [vars(Problem("#", detail, "too_heavy"))]}


def _facts(folder: Path, source_format: str, limits: Limits) -> dict[str, Any]:
    read = read_parquet if source_format == "parquet" else read_csv
    table = checked(read(folder / "upload", limits), limits)
    data = folder / "data.parquet"
    write(table, data)
    with data.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    columns = [column.model_dump(mode="json") for column in profiled(table)]
    return {"data_sha256": sha256, "rows": table.num_rows, "columns": columns}


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
    print(json.dumps(main(Path(sys.argv[1]), json.load(sys.stdin))))  # noqa: T201
