"""Parse `<folder>/upload` into its stored form: `data.parquet`, or the folder `arrays`.

The order has `format`, `missing_values`, `column_kinds`, and the limits `max_…`; see `api.state.parsing_process`.
"""

import hashlib
import os
from pathlib import Path
from typing import Any

import pyarrow as pa

from api.datasets.ingest.arrays import take_arrays
from api.datasets.ingest.csv_file import read_csv
from api.datasets.ingest.image_archive import take_image_archive
from api.datasets.ingest.image_parquet import holds_images, take_image_parquet
from api.datasets.ingest.limits import ImageLimits, Limits, refusal
from api.datasets.ingest.parquet_file import read_parquet
from api.datasets.ingest.reading import Reading
from api.datasets.ingest.table import check, profile, write
from api.state import parsing_process
from shared.problems import Problem, Refused, pointer

_MOST_WARNINGS = 100


def _facts(folder: Path, order: dict[str, Any]) -> dict[str, Any]:
    facts = _take(folder, order)
    return {**facts, "warnings": _first(facts["warnings"])}


def _take(folder: Path, order: dict[str, Any]) -> dict[str, Any]:
    """Parse the upload by its content. The options for the cells of a table are refused for other content."""
    upload, found = folder / "upload", order["format"]
    limits = ImageLimits(
        order["max_images"], order["max_images_bytes"], order["max_image_bytes"], order["max_image_pixels"]
    )
    is_image_parquet = found == "parquet" and holds_images(upload)
    if found in {"csv", "parquet"} and not is_image_parquet:
        return _take_table(folder, order)
    _refuse_options(order)
    if found == "npz":
        return take_arrays(folder, order["max_arrays_bytes"])
    if is_image_parquet:
        _check_size(upload, limits.bytes)
        return take_image_parquet(folder, limits)
    return take_image_archive(folder, found, limits)


def _take_table(folder: Path, order: dict[str, Any]) -> dict[str, Any]:
    _check_size(folder / "upload", order["max_table_bytes"])
    read = read_parquet if order["format"] == "parquet" else read_csv
    reading = Reading(order["missing_values"], order["column_kinds"])
    limits = Limits(columns=order["max_columns"], cells=order["max_cells"])
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
        "warnings": draft.warnings,
    }


def _refuse_options(order: dict[str, Any]) -> None:
    given = [name for name in ("missing_values", "column_kinds") if order[name]]
    if given:
        detail = "applies to tables only, but the upload holds images or arrays; omit it"
        raise Refused([Problem(pointer("query", name), detail, "no_table") for name in given])


def _check_size(upload: Path, most_bytes: int) -> None:
    """Check the limit of the content's kind. The API allows Parquet the larger limit: only its end shows the kind."""
    size = upload.stat().st_size
    if size > most_bytes:
        raise refusal("#", f"has {size} bytes, expected at most {most_bytes} for what it holds", "too_large")


def _first(warnings: list[str]) -> list[str]:
    more = len(warnings) - _MOST_WARNINGS
    return [*warnings[:_MOST_WARNINGS], f"and {more} more warnings"] if more > 0 else warnings


if __name__ == "__main__":
    pa.set_memory_pool(pa.system_memory_pool())
    pa.set_cpu_count(1)
    parsing_process.run(_facts)
    # Skip the interpreter's shutdown: if a CSV reader was closed before the end of its file, pyarrow's threads wait for
    # each other there forever (pyarrow 26: `BackgroundGenerator::Cleanup` on its own thread).
    os._exit(0)
