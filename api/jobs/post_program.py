"""The record of a job that runs a program."""

from typing import Any

from api.auth.access import caller, may_run_code
from api.auth.projects import find_known_dataset, find_program
from shared.findings import NO_FAULTS, Faults, Findings
from shared.job import JobRecord, pin_program
from shared.problems import Refused, at_most_shown
from shared.program import ProgramInfo
from shared.resolve.draft import make_draft
from shared.resolve.program import resolve_program
from shared.spec import ProgramJobSpec
from shared.times import utc_now

# Used in place of values that an invalid document lacks. It is not looked up.
_UNKNOWN = {"program": {"id": "unknown"}}


def make_program_record(document: dict[str, Any], job_id: str) -> JobRecord:
    """The record of a new job from its posted spec. Raises Refused with every problem."""
    draft = make_draft(ProgramJobSpec, document, _UNKNOWN)
    if draft.value is None:
        raise Refused(at_most_shown(draft.faults.problems))
    return new_program_record(draft.value, job_id, draft.faults)


def new_program_record(
    asked: ProgramJobSpec, job_id: str, faults: Faults = NO_FAULTS, *, project: str | None = None, **of_another: Any
) -> JobRecord:
    """The record of a new job with the version of the program that its spec names, or with the latest.

    The arguments are those of `new_record`.
    """
    found = Findings(faults)
    program = _find(asked, found)
    known = {dataset_id: find_known_dataset(dataset_id) for dataset_id in asked.program.datasets}
    datasets = {dataset_id: one[0] if one else None for dataset_id, one in known.items()}
    spec = resolve_program(asked, program, datasets, found, may_run_code=may_run_code())
    assert program is not None
    sums = {dataset_id: info.data_sha256 for dataset_id, info in datasets.items() if info is not None}
    return JobRecord(
        id=job_id,
        created_at=utc_now(),
        spec=spec,
        task=None,
        data_sha256=pin_program(program.version, sums),
        program_version=program.version,
        datasets_sha256=sums,
        warnings=tuple(found.warnings),
        key_id=caller().key_id,
        project=project or caller().project,
        **of_another,
    )


def _find(asked: ProgramJobSpec, found: Findings) -> ProgramInfo | None:
    """The version of the program; None if it does not exist, or if its id or version in the spec is invalid."""
    is_sure = found.is_sure("program/id") and found.is_sure("program/version")
    return find_program(asked.program.id, asked.program.version) if is_sure else None
