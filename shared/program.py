"""Programs: `programs/<id>/versions/<version>/` with `program.zip` and `program.json`, written once.

`programs/<id>/latest.json` names the version that was uploaded last. A version is the hash of its files' paths and
contents.
"""

import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from shared.document import FORMAT, Document, UnusableDocument, read_document
from shared.ids import ProgramId, ProgramVersion, is_program_id, is_program_version
from shared.job_folder import JobFolder
from shared.project import DEFAULT_PROJECT, ProjectName
from shared.spec.base import Strict
from shared.times import Time

PROGRAMS = "programs"
DOCUMENT = "program.json"
ARCHIVE = "program.zip"
REQUIREMENTS = "requirements.txt"
# The names that an entry is looked for under where a program has several files at its top.
USUAL_ENTRIES = ("main.py", "train.py")

_LATEST = "latest.json"


def _below_the_top(path: str) -> str:
    if "\0" in path or any(part in {"", ".", ".."} for part in path.split("/")):
        raise ValueError("expected a relative path without empty parts and dots")
    return path


FilePath = Annotated[str, StringConstraints(min_length=1, max_length=1024), AfterValidator(_below_the_top)]


class ProgramFile(Strict):
    """One file of a program: its path below the program's top, with `/` between folders, and its size in bytes."""

    path: FilePath
    bytes: int = Field(ge=0)


class _ProgramDocument(Document):
    # Without the name that the first versions of other documents had for it: here a version is a program's.
    format: int = Field(default=FORMAT, ge=1)


class ProgramInfo(_ProgramDocument):
    """One version of a program. `files` are sorted by path, `bytes` is their sum.

    `project` is that of the key that uploaded the program first. `broken` names the `.py` files that do not compile,
    with the reason and the line. `warnings` are for a person.
    """

    id: ProgramId
    version: ProgramVersion
    project: ProjectName = DEFAULT_PROJECT
    created_at: Time
    source_name: str | None = None
    bytes: int
    files: tuple[ProgramFile, ...]
    broken: dict[str, str] = Field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def paths(self) -> list[str]:
        """The paths of all files, sorted."""
        return [file.path for file in self.files]

    @property
    def has_requirements(self) -> bool:
        """Whether there is a `requirements.txt` at the top."""
        return REQUIREMENTS in self.paths

    @property
    def default_entry(self) -> str | None:
        """The file that a job runs which names none; None where it must name one."""
        return default_entry(self.paths)


class LatestVersion(_ProgramDocument):
    """`programs/<id>/latest.json`: whose program it is, and its version that was uploaded last."""

    id: ProgramId
    project: ProjectName = DEFAULT_PROJECT
    created_at: Time
    version: ProgramVersion
    updated_at: Time


class ProgramStore:
    """All programs of a volume. Makes their folder with the first upload."""

    def __init__(self, root: Path) -> None:
        self.folder = root / PROGRAMS

    def place(self, program_id: str) -> Path:
        """The folder of a program. Raises ValueError for a text that is no id."""
        if not is_program_id(program_id):
            raise ValueError(f"not a program's id: {program_id!r}")
        return self.folder / program_id

    def version_folder(self, program_id: str, version: str) -> Path:
        """The folder of a version. Raises ValueError for texts that are no id or no version."""
        if not is_program_version(version):
            raise ValueError(f"not a program's version: {version!r}")
        return self.place(program_id) / "versions" / version

    def latest_file(self, program_id: str) -> Path:
        """The document that names the latest version. Raises ValueError for a text that is no id."""
        return self.place(program_id) / _LATEST

    def latest(self, program_id: str) -> LatestVersion | None:
        """Whose program it is and its latest version; None where there is none. Raises UnusableDocument."""
        return read_document(self.latest_file(program_id), LatestVersion) if is_program_id(program_id) else None

    def find(self, program_id: str, version: str | None = None) -> ProgramInfo | None:
        """A version of a program, by default the latest; None where there is none, whatever the texts hold.

        Raises UnusableDocument.
        """
        latest = self.latest(program_id)
        if latest is None:
            return None
        wanted = latest.version if version is None else version
        if not is_program_version(wanted):
            return None
        return read_document(self.version_folder(program_id, wanted) / DOCUMENT, ProgramInfo)


def program_folder_of(job: JobFolder, program_id: str, version: str) -> Path:
    """The folder of a program's version on the volume that `job` is on."""
    return ProgramStore(job.volume_root).version_folder(program_id, version)


def default_entry(paths: Iterable[str]) -> str | None:
    """Of a program's files the one that runs where none is named; None where that is open.

    It is the only `.py` file at the top, else `main.py`, else `train.py`.
    """
    scripts = [path for path in paths if path.endswith(".py") and "/" not in path]
    if len(scripts) == 1:
        return scripts[0]
    return next((name for name in USUAL_ENTRIES if name in scripts), None)


def unpack(version_folder: Path, into: Path) -> None:
    """Write the files of a version beneath `into`. Raises UnusableDocument where the version is not there."""
    if not (version_folder / ARCHIVE).exists():
        raise UnusableDocument(f"the program's version {version_folder.name} is not on the volume")
    with zipfile.ZipFile(version_folder / ARCHIVE) as archive:
        archive.extractall(into)
