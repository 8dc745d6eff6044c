"""POST /jobs/{id}/extend: a new job that continues a finished one with other settings."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from flask import Response
from pydantic import Field

from api.auth.projects import find_job
from api.http.operation import BODY_ERRORS, JSON, json_answer, operation
from api.http.query import no_query
from api.http.strict_json import SMALL_BODY_BYTES, read_object
from api.jobs.find import state_of
from api.jobs.once import ONCE, store_once
from api.jobs.post import JOB_LINKS, answer_post, check_same_data, new_record
from api.jobs.settings import ReplaySettings
from api.shapes.jobs import Job
from api.state.histories import histories
from api.state.service import service
from shared.inherit import inherit
from shared.job import JobRecord
from shared.job_folder import AttemptFolder, JobFolder
from shared.manifest import read_manifest
from shared.points import place_of, points_of, with_points
from shared.problems import Conflict, NotFound, Problem, Refused, pointer
from shared.replay import monitored_values, replay
from shared.spec import MOST_EPOCHS, Budget, EarlyStoppingSpec, JobSpec, ProgramJobSpec, Strict
from shared.validation import validate

# Places in the spec, and the places of the same settings in this request.
_PLACES = {"#/hyperparameters/epochs": "#/epochs", "#/callbacks/early_stopping": "#/early_stopping"}


class ExtendRequest(Strict):
    """Settings to change. Fields left out keep their values."""

    epochs: int | None = Field(default=None, ge=1, le=MOST_EPOCHS)
    """New maximum number of epochs, greater than the number trained."""
    early_stopping: ReplaySettings | None = None
    """Early stopping settings to change; null disables early stopping."""
    budget: Budget | None = None
    """Limits of the new job to change; null: no limit."""
    from_: Literal["last", "best"] = Field(default="last", alias="from")
    """Where to continue: the last resume point (exact) or the best checkpoint."""


@dataclass(frozen=True)
class _Origin:
    """The start of the new job: what it inherits, and the number of whole epochs."""

    record: JobRecord
    source: AttemptFolder
    epochs: int


@operation(
    "extendJob",
    "jobs",
    "Extend a finished job as a new job with other settings",
    {202: json_answer("The new job is stored and queued.", Job, headers=("Location",), links=JOB_LINKS)},
    headers=ONCE,
    body={JSON: ExtendRequest},
    example={"early_stopping": {"patience": 20}},
    errors=(*BODY_ERRORS, 404, 409, 507),
)
def extend(job_id: str) -> tuple[Response, int, dict[str, str]]:
    """Store a new job that continues from a finished one. The finished job does not change.

    The files that the new job needs are linked into its own folder first, so that either job may be deleted.
    """
    no_query()
    job = find_job(job_id)
    asked = validate(ExtendRequest, read_object(SMALL_BODY_BYTES, service().settings.max_json_depth))
    origin = _origin(job, asked)
    document = {"extends": job_id, **asked.model_dump(mode="json", by_alias=True, exclude_unset=True)}
    try:
        return answer_post(*store_once(document, partial(_extend_record, origin, asked), partial(_inherit, origin)))
    except FileNotFoundError:
        if service().volume.job(job_id) is not None:
            raise
        raise NotFound("the job was deleted while it was being extended") from None


def _origin(job: JobFolder, asked: ExtendRequest) -> _Origin:
    state = state_of(job)
    if isinstance(state.record.spec, ProgramJobSpec):
        raise Conflict(
            "the job runs a program, whose script sets its epochs; change the script's arguments and post a new job"
        )
    if state.result is None:
        raise Conflict(f"the job is {state.status}; only a finished job can be extended")
    source = with_points(job)
    if source is None:
        raise Conflict("the job has no resume point to continue from; post its spec as a new job")
    if asked.from_ == "last":
        return _Origin(state.record, source, place_of(points_of(source)[0]).epochs)
    manifest = read_manifest(source.manifest_file)
    best = manifest.find(manifest.best) if manifest.best else None
    if best is None:
        raise Refused([Problem(pointer("from"), 'received "best": the job has saved no model', "no_model")])
    if not best.name.endswith(".keras"):
        # Keras does not read the optimizer back from this format.
        detail = (
            f'received "best": {best.name} is not a .keras file; only those contain the whole optimizer; use "last"'
        )
        raise Refused([Problem(pointer("from"), detail, "no_optimizer")])
    return _Origin(state.record, source, best.epoch)


def _inherit(origin: _Origin, record: JobRecord, into: JobFolder) -> None:
    inherit(origin.source, origin.epochs, record, into)


def _extend_record(origin: _Origin, asked: ExtendRequest, job_id: str) -> JobRecord:
    """The new job's record. Raises Refused with all problems, and Conflict if the data has changed."""
    before, problems = origin.record, []
    wanted = _change_spec(before.data_spec, asked)
    if wanted.hyperparameters.epochs <= origin.epochs:
        problems.append(_refuse_epochs(wanted, origin, asked))
    try:
        record = new_record(wanted, job_id, project=before.project, extends=before.id, extends_from=asked.from_)
    except Refused as refused:
        raise Refused([*problems, *map(_translate_place, refused.problems)]) from None
    check_same_data(record, before)
    stopping = record.spec.callbacks.early_stopping
    if stopping is not None:
        problems += _check_early_stopping(stopping, origin)
    if problems:
        raise Refused(problems)
    return record


def _change_spec(spec: JobSpec, asked: ExtendRequest) -> JobSpec:
    given = asked.model_fields_set
    update: dict[str, Any] = {}
    if asked.epochs is not None:
        update["hyperparameters"] = spec.hyperparameters.model_copy(update={"epochs": asked.epochs})
    if "early_stopping" in given:
        rule = _change_rule(spec.callbacks.early_stopping or EarlyStoppingSpec(), asked.early_stopping)
        update["callbacks"] = spec.callbacks.model_copy(update={"early_stopping": rule})
    if "budget" in given:
        changes = asked.budget.model_dump(exclude_unset=True) if asked.budget else None
        update["budget"] = None if changes is None else (spec.budget or Budget()).model_copy(update=changes)
    return spec.model_copy(update=update)


def _change_rule(own: EarlyStoppingSpec, asked: ReplaySettings | None) -> EarlyStoppingSpec | None:
    if asked is None:
        return None
    given = {name: value for name, value in asked if value is not None}
    if given.get("monitor", own.monitor) != own.monitor:
        given.setdefault("mode", "auto")
    return own.model_copy(update=given)


def _refuse_epochs(wanted: JobSpec, origin: _Origin, asked: ExtendRequest) -> Problem:
    given = f"received {asked.epochs}" if asked.epochs else f"the job has max epochs {wanted.hyperparameters.epochs}"
    detail = f"{given}: the job continues after epoch {origin.epochs}; expected more than that"
    return Problem(pointer("epochs"), detail, "nothing_left")


def _check_early_stopping(rule: EarlyStoppingSpec, origin: _Origin) -> list[Problem]:
    """The problem of a rule that would have stopped the job before it continues; empty if it would not have."""
    recorded = [one for one in histories().of(origin.source.job).epochs() if one.epoch <= origin.epochs]
    if len(recorded) < origin.epochs:
        raise Conflict(f"only {len(recorded)} of the {origin.epochs} epochs before its resume point are recorded")
    past = replay(monitored_values([one.metrics for one in recorded], rule.monitor), rule)
    stop = past.stop(rule.patience)
    if stop is None:
        return []
    detail = (
        f"with patience {rule.patience} it would have stopped at epoch {stop.epoch}, and it continues after epoch "
        f"{origin.epochs}; expected a patience of {len(past.stops) + 1} or more"
    )
    return [Problem(pointer("early_stopping", "patience"), detail, "stops_at_once")]


def _translate_place(problem: Problem) -> Problem:
    """The problem with a pointer into this request in place of the spec."""
    for there, here in _PLACES.items():
        if problem.pointer.startswith(there):
            return Problem(here + problem.pointer.removeprefix(there), problem.detail, problem.code)
    return problem
