"""POST /jobs and POST /jobs/{id}/retry."""

from functools import partial
from typing import Any

from flask import Response

from api.auth.access import caller
from api.auth.projects import find_job, find_known_dataset, find_weights
from api.http.answer import as_content, json_response
from api.http.operation import BODY_ERRORS, JSON, Schema, json_answer, operation
from api.http.problems import HttpProblem
from api.http.query import Query, no_query
from api.http.strict_json import read_object
from api.jobs.earlier import find_earlier, keep_earlier
from api.jobs.find import state_of
from api.jobs.once import ONCE, store_once
from api.jobs.post_program import make_program_record, new_program_record
from api.jobs.report import dry_run_report
from api.jobs.show import job_document, new_job_document, warn_of_workers
from api.shapes.jobs import DryRun, Job
from api.state.service import service
from shared.findings import NO_FAULTS, Faults, Findings
from shared.ids import new_job_id
from shared.job import JobRecord
from shared.job_folder import JobFolder
from shared.problems import Conflict, FitstopError, Problem, Refused, at_most_shown, pointer
from shared.resolve import problems_without_data, resolve
from shared.resolve.draft import make_draft
from shared.resolve.kinds import fill_in_kinds, names_earlier
from shared.resolve.memory import MemoryLimits
from shared.spec import JobSpec, ProgramJobSpec
from shared.times import utc_now
from shared.weights import WeightsInfo, weights_of

# The JSON of a Keras model, in which each layer has many values.
_MODEL = ("model", "config")
# Used in place of values that an invalid document lacks. They are not looked up or checked.
_UNKNOWN = {"dataset": {"id": "unknown", "target": "unknown"}}
# A job that names its data and model, or one that runs a program; both are described with the answers.
_EITHER: Schema = {"anyOf": [{"$ref": f"#/components/schemas/{one.__name__}"} for one in (JobSpec, ProgramJobSpec)]}

README_JOB: Schema = {
    "name": "wine-quality",
    "dataset": {"id": "wine-quality", "target": "quality", "positive": {"at_least": 6}},
}
JOB_LINKS = {
    name: (name, {"job_id": "$response.body#/id"})
    for name in (
        "showJob",
        "cancelJob",
        "retryJob",
        "extendJob",
        "deleteJob",
        "listEvents",
        "listEpochs",
        "listCheckpoints",
        "explainJob",
        "forecastJob",
        "replayJob",
    )
}


@operation(
    "postJob",
    "jobs",
    "Post a job, or check its spec",
    {
        200: json_answer("Result of the dry run.", DryRun),
        202: json_answer("The job is stored and queued.", Job, headers=("Location",), links=JOB_LINKS),
    },
    query={"dry_run": {"type": "boolean", "default": False, "description": "Whether to only check the spec."}},
    headers=ONCE,
    body={JSON: _EITHER},
    example=README_JOB,
    errors=(*BODY_ERRORS, 404, 409, 503, 507),
)
def submit() -> tuple[Response, int, dict[str, str]]:
    """Store a new job and notify the workers. After the 202 the job is safe, even if the notification fails.

    With `dry_run=true` the spec is checked, nothing is stored, and the answer is 200.
    """
    with Query("dry_run") as query:
        is_dry = query.flag("dry_run")
    settings = service().settings
    document = read_object(settings.max_job_bytes, settings.max_json_depth, _MODEL)
    if is_dry:
        record = make_job_record(document, new_job_id())
        return json_response(dry_run_report(record, warn_of_workers(service(), record.spec))), 200, {}
    make_record = partial(make_job_record, document)
    return answer_post(*store_once(document, make_record, keep_earlier if names_earlier(document) else None))


@operation(
    "retryJob",
    "jobs",
    "Retry a failed or cancelled job",
    {202: json_answer("The new job is stored and queued.", Job, headers=("Location",), links=JOB_LINKS)},
    headers=ONCE,
    errors=(400, 404, 409, 507),
)
def retry(job_id: str) -> tuple[Response, int, dict[str, str]]:
    """Store a new job with the spec and data of a failed or cancelled one."""
    no_query()
    state = state_of(find_job(job_id))
    if state.status not in {"failed", "cancelled"}:
        raise Conflict(f"the status of the job is {state.status}; only a failed or cancelled job can be retried")
    prepare = keep_earlier if state.record.lineage else None
    return answer_post(*store_once({"retry_of": job_id}, partial(_retry_record, state.record), prepare))


def answer_post(folder: JobFolder, new: JobRecord | None) -> tuple[Response, int, dict[str, str]]:
    """Answer a post, and notify the workers. `new` is the job's record if no other process can know the job yet."""
    document = None if new is None else new_job_document(folder, new)
    service().notifier.notify(folder.id)
    content = as_content(document or job_document(folder))
    return Response(content, content_type="application/json"), 202, {"Location": f"/jobs/{folder.id}"}


def make_job_record(document: dict[str, Any], job_id: str) -> JobRecord:
    """The record of a job from its posted spec. Raises Refused with every problem, and the errors of `new_record`."""
    if "program" in document:
        return make_program_record(document, job_id)
    draft = make_draft(JobSpec, _fill_in_kinds(document), _UNKNOWN)
    if draft.value is None:
        raise Refused(at_most_shown(draft.faults.problems))
    return new_record(draft.value, job_id, draft.faults)


def _fill_in_kinds(document: dict[str, Any]) -> dict[str, Any]:
    asked = document.get("dataset")
    dataset_id = asked.get("id") if isinstance(asked, dict) else None
    known = find_known_dataset(dataset_id) if isinstance(dataset_id, str) else None
    return fill_in_kinds(document, known[0] if known else None)


def _retry_record(before: JobRecord, job_id: str) -> JobRecord:
    if isinstance(before.spec, ProgramJobSpec):
        record = new_program_record(before.spec, job_id, project=before.project, retry_of=before.id)
    else:
        record = new_record(before.spec, job_id, project=before.project, retry_of=before.id)
    check_same_data(record, before)
    return record


def check_same_data(record: JobRecord, before: JobRecord) -> None:
    """Raise Conflict if the data, the program or the weights have changed since the earlier job."""
    if record.data_sha256 != before.data_sha256:
        what = f'the dataset "{record.spec.source_id}" has other data'
        if record.program_version is not None:
            what = f'the program "{record.spec.source_id}" or one of its datasets has another version'
        raise Conflict(f"{what} now; post the spec as a new job")
    if record.weights_sha256 != before.weights_sha256:
        raise Conflict("its model would start from other weights now; post the spec as a new job")
    assert record.lineage == before.lineage, "a job's own copy of the model that it starts from is final"


def new_record(
    asked: JobSpec, job_id: str, faults: Faults = NO_FAULTS, *, project: str | None = None, **of_another: Any
) -> JobRecord:
    """The record of a new job. `of_another` are the fields with the id of the job that it retries or extends.

    `project` is that of the earlier job, or None for the caller's.

    Raises Refused with every problem: those of `asked`, and the `faults` of the document that it was read from.
    """
    known = find_known_dataset(asked.dataset.id) if Findings(faults).is_sure("dataset/id") else None
    if known is None:
        raise _without_data(asked, faults)
    data, rows = known
    settings = service().settings
    memory = MemoryLimits(settings.max_table_bytes, settings.max_batch_bytes)
    weights, missing = _find_weights(asked, faults)
    earlier, no_earlier = find_earlier(asked, faults, of_another.get("retry_of") or of_another.get("extends"))
    missing += no_earlier
    try:
        resolved = resolve(asked, data, rows, faults, memory, earlier=earlier)
    except Refused as refused:
        raise Refused(at_most_shown([*refused.problems, *missing])) from None
    if missing:
        raise Refused(missing)
    return JobRecord(
        id=job_id,
        created_at=utc_now(),
        spec=resolved.spec,
        task=resolved.task,
        data_sha256=data.data_sha256,
        warnings=resolved.warnings,
        key_id=caller().key_id,
        weights_sha256=weights.data_sha256 if weights else None,
        lineage=earlier.lineage if earlier else (),
        project=project or caller().project,
        **of_another,
    )


def _find_weights(asked: JobSpec, faults: Faults) -> tuple[WeightsInfo | None, list[Problem]]:
    """The uploaded weights that the model starts from, and the problem if they do not exist."""
    wanted = weights_of(asked) if Findings(faults).is_sure("model/weights") else None
    found = None if wanted is None else find_weights(wanted)
    if wanted is None or found is not None:
        return found, []
    detail = f'received "{wanted}"; there are no such weights; upload them first (PUT /models/{wanted})'
    return None, [Problem(pointer("model", "weights"), detail, "unknown_weights")]


def _without_data(asked: JobSpec, faults: Faults) -> FitstopError:
    """The error for a job without data: 404 if that is the only problem, otherwise Refused with all problems."""
    problems = [
        *problems_without_data(asked, faults),
        *_find_weights(asked, faults)[1],
        *find_earlier(asked, faults)[1],
    ]
    if not Findings(faults).is_sure("dataset/id"):
        return Refused(at_most_shown(problems))
    dataset_id = asked.dataset.id
    detail = f'there is no dataset "{dataset_id}"; upload it first (PUT /datasets/{dataset_id})'
    if not problems:
        return HttpProblem(404, "unknown_dataset", detail)
    return Refused(at_most_shown([*problems, Problem(pointer("dataset", "id"), detail, "unknown_dataset")]))
