"""Datasets and jobs as values without data, for the tests of shared/ and of the worker's rules."""

from collections.abc import Iterator
from typing import Any

from shared.dataset import Column, ColumnKind, DatasetInfo, ValueCount
from shared.events import Event, EventWriter
from shared.ids import new_job_id
from shared.job import AttemptEnd, Claim, Ending, JobError, JobRecord, Stop
from shared.job_folder import AttemptFolder, JobFolder
from shared.points import point_name
from shared.resolve import Resolved, resolve
from shared.spec import JobSpec, ProgramJobSpec, ProgramSpec
from shared.times import utc_now
from shared.validation import validate
from shared.volume import Volume

ROWS = 100


def numbers(name: str, distinct: int = 90, missing: int = 0, kind: ColumnKind = "float") -> Column:
    """Return a column of `distinct` different numbers from 0 up, with fractions if `kind` is float."""
    step = 0.5 if kind == "float" else 1
    return listed(name, {index * step: 1 for index in range(distinct)}, missing, kind)


def listed(name: str, counts: dict[Any, int], missing: int = 0, kind: ColumnKind = "integer") -> Column:
    """Return a column that holds each value as often as `counts` says."""
    plain = [float(value) for value in counts] if kind != "text" else []
    return Column(
        name=name,
        kind=kind,
        missing=missing,
        distinct=len(counts),
        values=tuple(ValueCount(value=value, rows=rows) for value, rows in counts.items())
        if len(counts) <= 100
        else None,
        minimum=min(plain) if plain else None,
        maximum=max(plain) if plain else None,
        mean=sum(plain) / len(plain) if plain else None,
    )


def dataset(*columns: Column, rows: int = ROWS) -> DatasetInfo:
    """Return a dataset with two number columns, a text column of two values, and `columns`."""
    inputs = (numbers("a"), numbers("b"), listed("colour", {"red": 40, "white": 60}, kind="text"))
    return DatasetInfo(
        id="wine",
        created_at="2026-11-23T19:12:00.000Z",
        source_name=None,
        source_format="csv",
        sha256="0" * 64,
        bytes=1,
        data_sha256="1" * 64,
        rows=rows,
        columns=(*inputs, *columns),
    )


# Whole numbers from 3 to 8, like the wine's quality.
GRADES = listed("grade", {3: 5, 4: 10, 5: 35, 6: 30, 7: 15, 8: 5})


def spec(path: str = "", value: Any = None) -> dict[str, Any]:
    """Return a minimal spec, with the value at one place, such as `model/layers`, replaced."""
    document: dict[str, Any] = {"dataset": {"id": "wine", "target": "grade", "positive": {"at_least": 6}}}
    if path:
        *above, last = path.split("/")
        here = document
        for part in above:
            here = here.setdefault(part, {})
        here[last] = value
    return document


def resolved(document: dict[str, Any] | None = None, data: DatasetInfo | None = None) -> Resolved:
    """Resolve `document` (default: the minimal spec) on `data` (default: grades of wine)."""
    asked = validate(JobSpec, spec() if document is None else document)
    return resolve(asked, dataset(GRADES) if data is None else data)


def record(priority: int = 5, document: dict[str, Any] | None = None) -> JobRecord:
    """Return the record of a new, resolved job."""
    what = resolved({**(document or spec()), "priority": priority})
    return JobRecord(
        id=new_job_id(), created_at=utc_now(), spec=what.spec, task=what.task, data_sha256="1" * 64, warnings=()
    )


def posted(volume: Volume, priority: int = 5, devices: int = 1) -> JobFolder:
    """Store a new job on the volume."""
    new = record(priority)
    hyperparameters = new.data_spec.hyperparameters.model_copy(update={"devices": devices})
    return volume.store_job(
        new.model_copy(update={"spec": new.spec.model_copy(update={"hyperparameters": hyperparameters})})
    )


def posted_program(volume: Volume) -> JobFolder:
    """Store a new job on the volume that runs a program."""
    spec = ProgramJobSpec(program=ProgramSpec(id="mine", entry="train.py"))
    new = JobRecord(
        id=new_job_id(), created_at=utc_now(), spec=spec, task=None, data_sha256="2" * 64, program_version="3" * 64
    )
    return volume.store_job(new)


def claim(number: int = 1, owner: str = "somebody") -> Claim:
    return Claim(attempt=number, owner=owner, host="here", pid=1, slot=0, device="CPU", claimed_at=utc_now())


def taken(job: JobFolder, number: int = 1) -> AttemptFolder:
    """Claim attempt `number` of the job; the previous one must have ended."""
    attempt = job.take(claim(number))
    assert attempt is not None
    return attempt


def train_to(attempt: AttemptFolder, start: int, point: int | None) -> None:
    """Write what an attempt leaves that began after `start` epochs and saved a resume point after `point` of them."""
    with EventWriter(attempt.events_file) as events:
        if start:
            events.write([Event("resume", "", {"epoch": start + 1, "batch": 0, "from_attempt": attempt.number - 1})])
    if point is not None:
        attempt.resume.mkdir()
        (attempt.resume / point_name(point, 0)).touch()


def handed_back() -> AttemptEnd:
    return AttemptEnd(outcome="handed_back", ended_at=utc_now())


def finished(status: str = "succeeded") -> AttemptEnd:
    return AttemptEnd(outcome="finished", ended_at=utc_now(), ending=ending(status))


def ending(status: str = "succeeded") -> Ending:
    reason = {"succeeded": "epochs_completed", "failed": "error", "cancelled": "cancelled"}[status]
    error = JobError(code="killed", message="the training process was killed") if status == "failed" else None
    return Ending.model_validate({"status": status, "stop": Stop(reason=reason), "error": error})


def places(value: Any, here: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield every place in a JSON value, the whole value first."""
    yield here
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for part, item in below:
        yield from places(item, (*here, part))


def replaced(document: Any, place: tuple[str | int, ...], value: Any) -> Any:
    """Return `document` with `value` at `place`; the rest is shared with the original."""
    if not place:
        return value
    copy = dict(document) if isinstance(document, dict) else list(document)
    copy[place[0]] = replaced(document[place[0]], place[1:], value)
    return copy
