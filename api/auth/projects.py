"""Access by project.

A request reaches the jobs and datasets of its key's project. A key of scope `admin` reaches all projects. For an object
of another project, the answer is exactly that for a missing one.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from api.auth.access import caller
from api.http.operation import Schema, text
from api.http.query import Query
from api.state import partial_uploads
from api.state.dataset_cache import KnownDataset
from api.state.job_projects import project_of
from api.state.partial_uploads import PartialUpload
from api.state.service import service
from api.state.webhook_store import WebhookRecord
from shared.dataset import DatasetInfo
from shared.document import UnusableDocument
from shared.job_folder import JobFolder
from shared.problems import NotFound
from shared.program import ProgramInfo
from shared.project import PROJECT_PATTERN, is_project_name
from shared.sweep import folder as sweeps
from shared.sweep.folder import SweepFolder
from shared.weights import DOCUMENT, WeightsInfo

_Read = TypeVar("_Read")

PROJECT: Schema = text(
    "Project to list. A key of scope admin lists all projects by default, another key only its own.",
    pattern=PROJECT_PATTERN,
)


def own_project() -> str | None:
    """The only project that the caller reaches; None if the caller reaches all."""
    return None if caller().scope == "admin" else caller().project


def reaches(project: str | None) -> bool:
    """Whether the caller reaches objects of a project, which is None if it is unknown."""
    return own_project() in {None, project}


def read_project(query: Query) -> str | None:
    """The project that the parameter `project` asks for, or the caller's; None for all projects."""
    return query.parse("project", _project, None) or own_project()


def find_job(job_id: str) -> JobFolder:
    """The folder of a job that the caller reaches. Raises NotFound for every other id."""
    folder = service().volume.job(job_id)
    if folder is None or not reaches_job(job_id):
        raise NotFound("there is no job with this id")
    return folder


def reaches_job(job_id: str) -> bool:
    """Whether the caller reaches a job that exists."""
    return own_project() is None or reaches(service().projects.of(job_id))


def find_dataset(dataset_id: str) -> DatasetInfo | None:
    """A dataset that the caller reaches; None for every other id. Raises UnusableDocument."""
    info = _if_reached(dataset_id, service().volume.dataset)
    return info if info is not None and reaches(info.project) else None


def find_upload(dataset_id: str, upload_id: str) -> PartialUpload:
    """An unfinished upload that the caller reaches. Raises NotFound for every other id, and UnusableDocument."""
    datasets = service().volume.datasets
    own = partial_uploads.find_upload(datasets, caller().project, dataset_id, upload_id)
    if own is not None:
        return own
    ids = (dataset_id, upload_id)
    reached = [one for one in partial_uploads.all_uploads(datasets) if reaches(one.info.project)]
    found = next((one for one in reached if ids == (one.info.dataset_id, one.info.upload_id)), None)
    if found is None:
        raise partial_uploads.no_such_upload()
    return found


def find_known_dataset(dataset_id: str) -> KnownDataset | None:
    """A dataset that the caller reaches, from the cache, with its rows; None for every other id."""
    known = _if_reached(dataset_id, service().datasets.find)
    return known if known is not None and reaches(known[0].project) else None


def is_taken(dataset_id: str) -> bool:
    """Whether a dataset that the caller does not reach has this id."""
    return service().volume.dataset_stamp(dataset_id) is not None and find_dataset(dataset_id) is None


def find_weights(weights_id: str) -> WeightsInfo | None:
    """Uploaded weights that the caller reaches; None for every other id. Raises UnusableDocument."""
    store = service().volume.weights
    info = _if_readable(lambda: store.find(weights_id), lambda: store.place(weights_id) / DOCUMENT)
    return info if info is not None and reaches(info.project) else None


def find_webhook(webhook_id: str) -> WebhookRecord:
    """A webhook that the caller reaches. Raises NotFound for every other id."""
    found = service().webhooks.find(webhook_id)
    if found is None or not reaches(found.project):
        raise NotFound("there is no webhook with this id")
    return found


def find_sweep(sweep_id: str) -> SweepFolder:
    """The folder of a sweep that the caller reaches. Raises NotFound for every other id."""
    folder = sweeps.find_sweep(service().volume, sweep_id)
    if folder is None or not (own_project() is None or reaches(project_of(folder.record_file))):
        raise NotFound("there is no sweep with this id")
    return folder


def is_weights_id_taken(weights_id: str) -> bool:
    """Whether weights that the caller does not reach have this id."""
    return service().volume.weights.place(weights_id).exists() and find_weights(weights_id) is None


def find_program(program_id: str, version: str | None = None) -> ProgramInfo | None:
    """A version of a program that the caller reaches, by default the latest; None for every other id or version.

    Raises UnusableDocument.
    """
    store = service().volume.programs
    latest = _if_readable(lambda: store.latest(program_id), lambda: store.latest_file(program_id))
    return store.find(program_id, version) if latest is not None and reaches(latest.project) else None


def is_program_id_taken(program_id: str) -> bool:
    """Whether a program that the caller does not reach has this id."""
    store = service().volume.programs
    if not store.place(program_id).exists():
        return False
    latest = _if_readable(lambda: store.latest(program_id), lambda: store.latest_file(program_id))
    return latest is None or not reaches(latest.project)


def _if_reached(dataset_id: str, read: Callable[[str], _Read | None]) -> _Read | None:
    """The result of `read` for a dataset."""
    return _if_readable(lambda: read(dataset_id), lambda: service().volume.dataset_folder(dataset_id) / "dataset.json")


def _if_readable(read: Callable[[], _Read | None], place: Callable[[], Path]) -> _Read | None:
    """The result of `read`. UnusableDocument is raised only for a caller who reaches the document; None for others."""
    try:
        return read()
    except UnusableDocument:
        if reaches(project_of(place())):
            raise
        return None


def _project(text: str) -> str:
    own = own_project()
    if own is not None and text != own:
        raise ValueError(f'"{own}", the project of this key')
    if not is_project_name(text):
        raise ValueError(f"a project: a name that matches {PROJECT_PATTERN}")
    return text
