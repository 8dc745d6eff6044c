"""Finished jobs, as `GET /usage` sums them; the costs of deleted jobs are kept.

<volume>/past_jobs/<day (UTC) on which the job ended>/<job id>.json   written once, before a job is deleted
"""

import logging
from collections.abc import Iterator
from pathlib import Path

from api.state.histories import histories
from shared.document import Document, UnusableDocument, read_document
from shared.durable import create_file, encode, make_folder
from shared.job_folder import JobFolder
from shared.ledger import Ledger

log = logging.getLogger(__name__)


class PastJob(Document):
    """The facts of a finished job that are summed. They are few, so that many jobs fit into the cache."""

    id: str
    finished_at: str
    dataset: str
    key_id: str | None
    project: str
    ledger: Ledger


def past_job(folder: JobFolder) -> PastJob | None:
    """A finished job, from the cache if it was read before; None if unfinished. Raises UnusableDocument, NotFound."""
    if not folder.result_file.exists():
        return None
    known: PastJob | None = histories().finished.find(folder.id)
    if known is None and (result := folder.result()) and (record := folder.record()):
        known = PastJob(
            id=folder.id,
            finished_at=result.finished_at,
            dataset=record.spec.source_id,
            key_id=record.key_id,
            project=record.project,
            ledger=histories().ledger(folder),
        )
        histories().finished.keep(folder.id, known)
    return known


class DeletedJobs:
    """The store of the costs of deleted jobs: a file of about 500 bytes for each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, job: PastJob) -> None:
        """Store a job's costs before the job is deleted. Repeating it changes nothing."""
        place = self._folder / job.finished_at[:10]
        make_folder(place)
        create_file(place / f"{job.id}.json", encode(job.model_dump(mode="json")))

    def ended(self, first_day: str, last_day: str) -> Iterator[PastJob]:
        """The jobs that ended from the first day to the last (YYYY-MM-DD, UTC). Logs and omits damaged ones."""
        for day in sorted(self._folder.iterdir()) if self._folder.is_dir() else ():
            if first_day <= day.name <= last_day:
                yield from self._read(day)

    def _read(self, day: Path) -> Iterator[PastJob]:
        for file in sorted(day.glob("[!.]*.json")):
            known: PastJob | None = histories().finished.find(file.stem)
            try:
                found = known or read_document(file, PastJob)
            except UnusableDocument as error:
                log.error("%s is left out of the usage: %s", file.name, error)
                continue
            if found is not None:
                yield histories().finished.keep(file.stem, found)
