"""Ids that clients choose or see and that become folder names, with their validation."""

import re
import time
from typing import Annotated

from pydantic import StringConstraints
from ulid import ULID

_JOB_ID = re.compile(r"job_[0-9A-HJKMNP-TV-Z]{26}")
_SWEEP_ID = re.compile(r"sweep_[0-9A-HJKMNP-TV-Z]{26}")
DATASET_ID_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"
_DATASET_ID = re.compile(DATASET_ID_PATTERN)

JobId = Annotated[str, StringConstraints(pattern=f"^{_JOB_ID.pattern}$")]
SweepId = Annotated[str, StringConstraints(pattern=f"^{_SWEEP_ID.pattern}$")]
DatasetId = Annotated[str, StringConstraints(pattern=DATASET_ID_PATTERN)]
WeightsId = Annotated[str, StringConstraints(pattern=DATASET_ID_PATTERN)]
ProgramId = Annotated[str, StringConstraints(pattern=DATASET_ID_PATTERN)]
VERSION_PATTERN = "^[0-9a-f]{64}$"
ProgramVersion = Annotated[str, StringConstraints(pattern=VERSION_PATTERN)]


def new_job_id() -> str:
    """A new id that sorts by its time of creation: `job_` and a ULID, which has 80 random bits."""
    return f"job_{ULID()}"


def is_job_id(text: str) -> bool:
    """Whether `text` could be a job's id. For any other text, the disk need not be read."""
    return _JOB_ID.fullmatch(text) is not None


def new_sweep_id() -> str:
    """A new id that sorts by its time of creation: `sweep_` and a ULID."""
    return f"sweep_{ULID()}"


def is_sweep_id(text: str) -> bool:
    """Whether `text` could be a sweep's id."""
    return _SWEEP_ID.fullmatch(text) is not None


def age_seconds(made_id: str) -> float:
    """The age of a job's or a sweep's id in seconds, by the id and this machine's clock."""
    return time.time() - float(ULID.from_str(made_id.partition("_")[2]).timestamp)


def is_dataset_id(text: str) -> bool:
    """Whether `text` may name a dataset: 1 to 64 of a-z, 0-9, dot, underscore, hyphen; the first is a-z or 0-9."""
    return _DATASET_ID.fullmatch(text) is not None


def is_weights_id(text: str) -> bool:
    """Whether `text` may name uploaded weights; same rule as for datasets."""
    return is_dataset_id(text)


def is_program_id(text: str) -> bool:
    """Whether `text` may name a program; same rule as for datasets."""
    return is_dataset_id(text)


def is_program_version(text: str) -> bool:
    """Whether `text` may be a program's version: a SHA-256 in hex."""
    return re.fullmatch(VERSION_PATTERN[1:-1], text) is not None
