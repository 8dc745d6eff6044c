"""The project of each job: it never changes, so it is read once."""

from pathlib import Path

from cachetools import LRUCache
from pydantic_core import from_json

from api.state.locked_cache import LockedCache
from shared.document import UnusableDocument
from shared.durable import read_bytes
from shared.ids import is_job_id
from shared.project import DEFAULT_PROJECT
from shared.volume import Volume

_MOST_KEPT = 100_000


class JobProjects:
    """The projects of the jobs that were requested last."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._kept: LockedCache[str, str] = LockedCache(LRUCache(_MOST_KEPT))

    def of(self, job_id: str) -> str | None:
        """The project of a job that exists; None if its `spec.json` cannot be read."""
        known = self._kept.find(job_id)
        if known is not None:
            return known
        if not is_job_id(job_id):
            return None
        found = project_of(self._volume.job_folder(job_id).spec_file)
        return None if found is None else self._kept.keep(job_id, found)


def project_of(document: Path) -> str | None:
    """The project that a document names; None for one that is missing or cannot be read."""
    try:
        return project_in(read_bytes(document) or b"")
    except UnusableDocument:
        return None


def project_in(spec: bytes) -> str | None:
    """The project that a `spec.json` of any version names; None for one that cannot be read."""
    try:
        record = from_json(spec)
    except ValueError:
        return None
    found = record.get("project", DEFAULT_PROJECT) if isinstance(record, dict) else None
    return found if isinstance(found, str) else None
