"""Tags and a note of a job, which can change at any time, unlike the job's record.

Each change is a separate document, `annotations/<n>.json` in the job's folder, created exclusively. The highest number
counts and the older documents are removed. So no change is lost if several hosts make one at the same time. Before the
document, an empty file `annotated/<job id>.<n>` is created on the volume. It changes the modification time of that
folder, by which the indexes of all hosts know that there is something to read.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from shared.document import Document, UnusableDocument, read_document
from shared.durable import add_name, create_file, encode, make_folder, remove_name, sync_folder
from shared.ids import is_job_id
from shared.job import as_json
from shared.job_folder import JobFolder
from shared.spec import Text
from shared.spec.base import check_printable

ANNOTATIONS = "annotations"
MOST_TAGS = 32
MOST_TAG_CHARACTERS = 64
MOST_NOTE_CHARACTERS = 4096
_NAME = re.compile(r"([0-9]{1,9})\.json")
_MARKER = re.compile(r"(.+)\.([0-9]{1,9})")


def _trimmed(tag: str) -> str:
    if tag != tag.strip():
        raise ValueError("begins or ends with a blank; remove it")
    return tag


def _lines(note: str) -> str:
    check_printable(note.translate({ord("\n"): " ", ord("\t"): " "}))
    return note


Tag = Annotated[Text, Field(min_length=1, max_length=MOST_TAG_CHARACTERS), AfterValidator(_trimmed)]
Note = Annotated[str, Field(max_length=MOST_NOTE_CHARACTERS), AfterValidator(_lines)]


class Annotations(Document):
    """Tags in order, each once, and a note, which may have several lines; empty if there is none."""

    tags: tuple[Tag, ...] = ()
    note: Note = ""


def read_annotations(job: JobFolder) -> tuple[int, Annotations]:
    """The number of the last change of a job's annotations, and the annotations; 0 if there was none.

    Raises UnusableDocument.
    """
    missed = 0
    while number := last_change(job.path):
        found = read_document(_document(job, number), Annotations)
        if found is not None:
            return number, found
        # Another change removed the document after its number was listed, so there is a higher number.
        if number == missed:
            raise UnusableDocument(f"{ANNOTATIONS}/{number}.json cannot be read")
        missed = number
    return 0, Annotations()


def change_annotations(
    annotated: Path, job: JobFolder, change: Callable[[Annotations], Annotations]
) -> tuple[int, Annotations]:
    """Change a job's annotations; `change` is called again if another change came first. `annotated`: marker folder.

    Raises FileNotFoundError if the job is deleted, UnusableDocument, OSError, and what `change` raises.
    """
    while True:
        number, now = read_annotations(job)
        wanted = change(now)
        if wanted == now:
            return number, now
        make_folder(job.path / ANNOTATIONS, within=job.path)
        add_name(annotated / f"{job.id}.{number + 1}")
        sync_folder(annotated)
        if not create_file(_document(job, number + 1), encode(as_json(wanted))):
            continue
        # A slow caller may create a number that others have removed already: only the highest counts.
        if last_change(job.path) == number + 1:
            _remove_before(annotated, job, number + 1)
            return number + 1, wanted


def last_change(job: Path | str) -> int:
    """The number of the last change of a job's annotations, by file names alone; 0 if there is none."""
    return max(_changes(job), default=0)


def annotated_jobs(annotated: Path) -> dict[str, int]:
    """The jobs that have annotations, each with the number of the last change that was begun."""
    found: dict[str, int] = {}
    for entry in os.scandir(annotated):
        parts = _MARKER.fullmatch(entry.name)
        if parts is not None and is_job_id(parts[1]):
            found[parts[1]] = max(found.get(parts[1], 0), int(parts[2]))
    return found


def remove_markers(annotated: Path, job: JobFolder) -> None:
    """Remove the markers of a job that is about to be deleted, so that no index reads its annotations."""
    number = last_change(job.path)
    for one in (number, number + 1) if number else ():
        remove_name(annotated / f"{job.id}.{one}")


def _remove_before(annotated: Path, job: JobFolder, number: int) -> None:
    """Remove replaced changes, also those that a killed process left."""
    for old in filter(lambda one: one < number, _changes(job.path)):
        remove_name(_document(job, old))
        remove_name(annotated / f"{job.id}.{old}")


def _changes(job: Path | str) -> list[int]:
    try:
        names = os.listdir(f"{job}/{ANNOTATIONS}")  # noqa: PTH208  called often for a hundred rows
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [int(found[1]) for found in map(_NAME.fullmatch, names) if found is not None]


def _document(job: JobFolder, number: int) -> Path:
    return job.path / ANNOTATIONS / f"{number}.json"
