"""Untrusted zip and tar archives: read entry by entry, in order, and never unpacked by name.

`survey_archive` checks every entry before the first is read; `read_archive` reads the accepted ones. A bad archive
raises Refused, which names the entry, never an exception of zipfile or tarfile.

The rule of this folder: only the throw-away processes that parse uploads use it.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from api.archive import tar_file, zip_file
from api.archive.entries import ArchiveLimits, Content, Entry, Survey
from shared.problems import Problem, Refused, at_most_shown

ArchiveFormat = Literal["zip", "tar"]


def survey_archive(
    path: Path, kind: ArchiveFormat, limits: ArchiveLimits, wants_head: Callable[[str], bool]
) -> list[Entry]:
    """All files of the archive, in its order, with the first bytes of those whose name `wants_head`.

    Raises Refused with every bad entry.
    """
    files, problems = survey_names(path, kind, limits, wants_head)
    if problems:
        raise Refused(at_most_shown(problems))
    return files


def survey_names(
    path: Path, kind: ArchiveFormat, limits: ArchiveLimits, wants_head: Callable[[str], bool] = lambda _name: False
) -> tuple[list[Entry], list[Problem]]:
    """The accepted files of the archive, in its order, and the problems of the other entries.

    Raises Refused above a limit and for a damaged archive.
    """
    survey = Survey(limits)
    read = zip_file.survey if kind == "zip" else tar_file.survey
    files = list(read(path, survey, wants_head))
    return files, survey.problems


def read_archive(path: Path, kind: ArchiveFormat, wanted: Callable[[str], bool]) -> Iterator[Content]:
    """The wanted files of an archive that was surveyed, in its order. Each is valid until the next one is requested."""
    return zip_file.read(path, wanted) if kind == "zip" else tar_file.read(path, wanted)
