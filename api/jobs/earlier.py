"""The model of an earlier job that a new job starts from. It is found at the post, and linked into the new folder."""

from api.auth.projects import reaches_job
from api.state.service import service
from shared.document import UnusableDocument
from shared.earlier_model import CannotStart, EarlierModel, find_best, find_kept, keep
from shared.findings import Faults, Findings
from shared.job import JobRecord
from shared.job_folder import JobFolder
from shared.problems import Conflict, Problem, pointer
from shared.spec import EarlierJobSpec, JobSpec

_PLACE = pointer("model", "job")


def find_earlier(
    asked: JobSpec, faults: Faults, follows: str | None = None
) -> tuple[EarlierModel | None, list[Problem]]:
    """The model that a job starts from, or the problem if it cannot be used; (None, []) if the job names none.

    `follows` is the id of the job that a retry or an extension follows. If given, that job's copy of the model is used.
    """
    wanted = asked.model
    if not isinstance(wanted, EarlierJobSpec) or not Findings(faults).is_sure("model/job"):
        return None, []
    try:
        found = _read(wanted.job) if follows is None else _read_copy(follows)
        # Read now what the checks need later, so that errors are caught here.
        _ = found.config, found.columns
    except (CannotStart, UnusableDocument) as error:
        reason = "its documents cannot be read" if isinstance(error, UnusableDocument) else str(error)
        return None, [Problem(_PLACE, f'received "{wanted.job}": {reason}', "cannot_start_from")]
    except FileNotFoundError:
        return None, [_unknown(wanted.job)]
    return found, []


def keep_earlier(record: JobRecord, into: JobFolder) -> None:
    """Link the model that a new job starts from into its folder. Raises Conflict if the model no longer exists."""
    if not record.lineage:
        return
    follows = record.retry_of or record.extends
    try:
        found = _read(record.lineage[0].job, record.lineage[0].sha256) if follows is None else _read_copy(follows)
        job = service().volume.job_folder(record.lineage[0].job)
        keep(found, into, is_final=follows is not None or job.result_file.exists())
    except CannotStart as error:
        raise Conflict(f"the job that this one starts from: {error}") from error
    except FileNotFoundError as error:
        raise Conflict(
            "the job that this one starts from, or its model, was deleted in the meantime; post it again"
        ) from error


def _read(job_id: str, sha256: str | None = None) -> EarlierModel:
    folder = service().volume.job(job_id)
    if folder is None or not reaches_job(job_id):
        raise FileNotFoundError(job_id)
    return find_best(folder, sha256)


def _read_copy(job_id: str) -> EarlierModel:
    folder = service().volume.job(job_id)
    record = folder.record() if folder else None
    found = find_kept(folder, record) if folder and record else None
    if found is None:
        raise FileNotFoundError(job_id)
    return found


def _unknown(job_id: str) -> Problem:
    return Problem(_PLACE, f'received "{job_id}"; there is no job with this id', "unknown_job")
