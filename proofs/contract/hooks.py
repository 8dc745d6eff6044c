"""What Schemathesis cannot know: which dataset, columns and jobs there are. Most requests name those."""

import os
import re
from typing import Any
from zlib import crc32

import schemathesis

DATASET, CHECKPOINT = "contract", "model-01.keras"
JOBS_VARIABLE = "CONTRACT_JOBS"

# A part of a file is bytes.
schemathesis.serializer.alias("application/partial-upload", "application/octet-stream")

_JOB_ID = re.compile(r"job_[0-9A-HJKMNP-TV-Z]{26}")


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Let a spec speak of the data that is there, unless it is one that is meant to be wrong."""
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
    """Let most ids of jobs be those of jobs that are there; none of them is deleted."""
    job_id = (path_parameters or {}).get("job_id")
    if context.operation.method.upper() == "DELETE" or not (isinstance(job_id, str) and _JOB_ID.fullmatch(job_id)):
        return path_parameters
    jobs = os.environ[JOBS_VARIABLE].split(",")
    known = {**path_parameters, "job_id": jobs[crc32(job_id.encode()) % len(jobs)]}
    return {**known, "name": CHECKPOINT} if "name" in known else known


@schemathesis.hook
def map_query(context: Any, query: Any) -> Any:
    """Let nobody wait for a minute."""
    if query and str(query.get("wait")) in set(map(str, range(2, 61))):
        return {**query, "wait": 1}
    return query
