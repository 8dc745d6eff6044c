"""What Schemathesis cannot know: the dataset, columns and jobs that exist. Most requests name those."""

import os
import re
from typing import Any
from zlib import crc32

import schemathesis

DATASET, CHECKPOINT = "contract", "model-01.keras"
JOBS_VARIABLE = "CONTRACT_JOBS"

# A part of an uploaded file is bytes.
schemathesis.serializer.alias("application/partial-upload", "application/octet-stream")

_ID = re.compile(r"(job_|sweep_)[0-9A-HJKMNP-TV-Z]{26}")


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Name the existing dataset in a spec, unless the spec is meant to be wrong."""
    if context.operation.label != "POST /jobs" or not isinstance(body, dict):
        return body
    dataset = body.get("dataset")
    if isinstance(dataset, dict) and isinstance(dataset.get("id"), str) and isinstance(dataset.get("target"), str):
        body = {**body, "dataset": {**dataset, "id": DATASET, "target": "label"}}
        for name in ("drop_columns", "categorical", "positive"):
            body["dataset"].pop(name, None)
    return body


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: Any) -> Any:
    """Replace most ids of jobs and sweeps with existing ones, except in a DELETE."""
    place = "sweep_id" if "sweep_id" in (path_parameters or {}) else "job_id"
    asked = (path_parameters or {}).get(place)
    found = _ID.fullmatch(asked) if isinstance(asked, str) else None
    if context.operation.method.upper() == "DELETE" or found is None:
        return path_parameters
    there = [one for one in os.environ[JOBS_VARIABLE].split(",") if one.startswith(found[1])]
    known = {**path_parameters, place: there[crc32(asked.encode()) % len(there)]}
    return {**known, "name": CHECKPOINT} if "name" in known else known


@schemathesis.hook
def map_query(context: Any, query: Any) -> Any:
    """Shorten long waits to one second."""
    if query and str(query.get("wait")) in set(map(str, range(2, 61))):
        return {**query, "wait": 1}
    return query
