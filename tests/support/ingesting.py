"""The process that parses an upload, as the API starts it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from api.state.parser import ingest_environment

ORDER: dict[str, Any] = {
    "format": "csv",
    "missing_values": None,
    "column_kinds": {},
    "max_columns": 50,
    "max_cells": 10_000,
    "max_table_bytes": 10**6,
    "max_images": 1000,
    "max_images_bytes": 10**9,
    "max_image_bytes": 10**7,
    "max_image_pixels": 10**7,
    "max_arrays_bytes": 10**9,
    "memory_bytes": 2**31,
}


def run_ingest(folder: Path, environment: dict[str, str] | None = None, **order: Any) -> Any:
    """Run the process for the file `upload` in the folder, and return its answer to `order`."""
    done = subprocess.run(
        [sys.executable, "-m", "api.datasets.ingest", str(folder)],
        input=json.dumps(ORDER | order).encode(),
        capture_output=True,
        check=True,
        env=ingest_environment() | (environment or {}),
    )
    return json.loads(done.stdout)
