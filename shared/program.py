"""Programs: `programs/<id>/versions/<version>/` with `program.zip` and `program.json`, written once.

`programs/<id>/latest.json` names the version that was uploaded last. A version is the hash of its files' paths and
contents, so the same files are the same version in any archive. The service itself writes `program.zip`.
"""

import errno
import hashlib
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Annotated

from pydantic import AfterValidator, Field, StringConstraints

from shared.document import FORMAT, Document, UnusableDocument, read_document
from shared.durable import encode, make_folder, replace_file, sync_folder
from shared.ids import ProgramId, ProgramVersion, is_program_id, is_program_version
from shared.job_folder import JobFolder
from shared.mirror.attached import mirror_at
from shared.plain_files import open_plain
from shared.project import DEFAULT_PROJECT, ProjectName
from shared.spec.base import Strict
from shared.stamps import file_stamp
from shared.times import Time, microseconds

PROGRAMS = "programs"
DOCUMENT = "program.json"
ARCHIVE = "program.zip"
REQUIREMENTS = "requirements.txt"
# Names of the default entry if a program has several scripts at its top.
USUAL_ENTRIES = ("main.py", "train.py")

_LATEST = "latest.json"
_PIECE_BYTES = 1024**2
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, KeyError)


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
    # Without the alias `version` of other documents, which is the version of the program here.
    format: int = Field(default=FORMAT, ge=1)


class ProgramInfo(_ProgramDocument):
    """One version of a program. `files` are sorted by path, `bytes` is the sum of their sizes.

    `project` is that of the key that first uploaded the program. `broken` maps each `.py` file that does not compile to
    the reason and the line. `warnings` are for a person.
    """

    id: ProgramId
    version: ProgramVersion
    project: ProjectName = DEFAULT_PROJECT
    created_at: Time
    bytes: int
    files: tuple[ProgramFile, ...]
    broken: dict[str, str] = Field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def paths(self) -> list[str]:
        """The paths of all files, sorted."""
        return [file.path for file in self.files]

    @property
    def uploaded_at(self) -> int:
        """The time of the upload in nanoseconds since 1970; unpacked files have it as their modification time."""
        return microseconds(self.created_at) * 1000

    @property
    def has_requirements(self) -> bool:
        """Whether there is a `requirements.txt` at the top."""
        return REQUIREMENTS in self.paths

    @property
    def default_entry(self) -> str | None:
        """The file that runs if a job names none; None if a job must name one."""
        return default_entry(self.paths)


class LatestVersion(_ProgramDocument):
    """`programs/<id>/latest.json`: the project that owns the program, and its latest uploaded version."""

    id: ProgramId
    project: ProjectName = DEFAULT_PROJECT
    created_at: Time
    version: ProgramVersion
    updated_at: Time


class ProgramStore:
    """All programs of a volume. The first upload creates their folder."""

    def __init__(self, root: Path) -> None:
        self._volume = root
        self.folder = root / PROGRAMS

    def ids(self) -> list[str]:
        """The ids of all programs, sorted."""
        found = self.folder.iterdir() if self.folder.is_dir() else ()
        return sorted(entry.name for entry in found if is_program_id(entry.name))

    def place(self, program_id: str) -> Path:
        """The folder of a program. Raises ValueError if the id is not valid."""
        if not is_program_id(program_id):
            raise ValueError(f"not a program's id: {program_id!r}")
        return self.folder / program_id

    def version_folder(self, program_id: str, version: str) -> Path:
        """The folder of a version. Raises ValueError if the id or the version is not valid."""
        if not is_program_version(version):
            raise ValueError(f"not a program's version: {version!r}")
        return self.place(program_id) / "versions" / version

    def latest_file(self, program_id: str) -> Path:
        """The path of the document that names the latest version. Raises ValueError if the id is not valid."""
        return self.place(program_id) / _LATEST

    def latest(self, program_id: str) -> LatestVersion | None:
        """The project and the latest version of a program; None if it does not exist. Raises UnusableDocument."""
        return read_document(self.latest_file(program_id), LatestVersion) if is_program_id(program_id) else None

    def find(self, program_id: str, version: str | None = None) -> ProgramInfo | None:
        """A version of a program, by default the latest; None if it does not exist or a text is not valid.

        Raises UnusableDocument.
        """
        latest = self.latest(program_id)
        if latest is None:
            return None
        wanted = latest.version if version is None else version
        if not is_program_version(wanted):
            return None
        return read_document(self.version_folder(program_id, wanted) / DOCUMENT, ProgramInfo)

    def versions(self, program_id: str) -> list[str]:
        """The versions of a program, the newest upload first."""
        folder = self.place(program_id) / "versions"
        known = (
            [entry.name for entry in os.scandir(folder) if is_program_version(entry.name)] if folder.is_dir() else []
        )
        # Times of the document, which is written once: a folder gets a new time in a copy of the volume, and has none
        # in a bucket.
        stamps = {name: file_stamp(folder / name / DOCUMENT) for name in known}
        written = {name: stamp[-1] for name, stamp in stamps.items() if stamp is not None}
        return sorted(written, key=lambda name: written[name], reverse=True)

    def make_folder(self) -> Path:
        """Create the folder of all programs durably, and return it."""
        make_folder(self.folder, within=self._volume)
        return self.folder

    def create(self, prepared: Path, latest: LatestVersion) -> bool:
        """Make a prepared version a new program atomically; False if its id is taken.

        `prepared` is on the volume and its files are fsynced. It is moved, unless the result is False.
        """
        program = prepared.with_name(f"{prepared.name}.new")
        versions = program / "versions"
        versions.mkdir(parents=True)
        replace_file(program / _LATEST, encode(latest.model_dump(mode="json")))
        prepared.rename(versions / latest.version)
        for folder in (versions / latest.version, versions, program):
            sync_folder(folder)
        if (mirror := mirror_at(self._volume)) is not None:
            is_new = mirror.publish(program, self.place(latest.id))
            if not is_new:
                (versions / latest.version).rename(prepared)
                shutil.rmtree(program, ignore_errors=True)
            return is_new
        try:
            program.rename(self.place(latest.id))
        except OSError:
            if not self.place(latest.id).exists():
                raise
            (versions / latest.version).rename(prepared)
            shutil.rmtree(program, ignore_errors=True)
            return False
        sync_folder(self.folder)
        return True

    def add_version(self, prepared: Path, program_id: str, version: str) -> bool:
        """Make a prepared folder a version of an existing program; False if the program has this version already.

        Raises FileNotFoundError if the program was removed.
        """
        place = self.version_folder(program_id, version)
        sync_folder(prepared)
        if (mirror := mirror_at(self._volume)) is not None:
            return mirror.publish(prepared, place, is_content=True)
        try:
            prepared.rename(place)
        except OSError as error:
            if error.errno not in {errno.EEXIST, errno.ENOTEMPTY}:
                raise
            return False
        sync_folder(place.parent)
        return True

    def set_latest(self, latest: LatestVersion) -> None:
        """Make an existing version of a program the latest one. Among concurrent callers, the last one wins."""
        replace_file(self.latest_file(latest.id), encode(latest.model_dump(mode="json")))


def program_folder_of(job: JobFolder, program_id: str, version: str) -> Path:
    """The folder of a program's version on the volume that `job` is on."""
    return ProgramStore(job.volume_root).version_folder(program_id, version)


def default_entry(paths: Iterable[str]) -> str | None:
    """The file of a program that runs if a job names none; None if there is no such file.

    It is the only `.py` file at the top, else `main.py`, else `train.py`.
    """
    scripts = [path for path in paths if path.endswith(".py") and "/" not in path]
    if len(scripts) == 1:
        return scripts[0]
    return next((name for name in USUAL_ENTRIES if name in scripts), None)


def hash_program(sums: Iterable[tuple[str, str]]) -> str:
    """The version of a program, from the path of each file and the SHA-256 of its content in hex.

    It is the SHA-256 of the lines `<sha256>  <path>`, each with its newline, sorted by path.
    """
    lines = "".join(f"{digest}  {path}\n" for path, digest in sorted(sums))
    return hashlib.sha256(lines.encode("utf-8", "surrogatepass")).hexdigest()


def write_archive(path: Path, files: Iterable[tuple[str, IO[bytes]]]) -> None:
    """Write a new `program.zip` of the files in the given order, all as regular files with a fixed time and mode."""
    with zipfile.ZipFile(path, "x", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            with archive.open(_zip_entry(name), "w") as packed:
                shutil.copyfileobj(content, packed, _PIECE_BYTES)


def unpack(version_folder: Path, into: Path) -> None:
    """Write the files of a version below `into`, which is created if it is missing.

    Their time is that of the version's upload. Existing files are replaced. Nothing is written through a link. Raises
    UnusableDocument if the version is missing, damaged, or not the one in its folder's name; files written by then
    stay.
    """
    info = read_document(version_folder / DOCUMENT, ProgramInfo)
    if info is None:
        raise UnusableDocument(f"the program's version {version_folder.name} is not on the volume")
    into.mkdir(parents=True, exist_ok=True)
    sums = []
    with _open_archive(version_folder / ARCHIVE) as archive, _open_descriptor(os.fspath(into), _FOLDER) as top:
        for file in info.files:
            with archive.open(file.path) as content, _new_file(top, file.path) as target:
                sums.append((file.path, _copy(content, target, file)))
                os.utime(target, ns=(info.uploaded_at, info.uploaded_at))
    if hash_program(sums) != version_folder.name:
        raise UnusableDocument(f"{ARCHIVE} is damaged: its files are not those of version {version_folder.name}")


@contextmanager
def _open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with open_plain(path) as file, zipfile.ZipFile(file) as archive:
            yield archive
    except FileNotFoundError:
        raise UnusableDocument(f"{ARCHIVE} is missing") from None
    except _UNREADABLE as error:
        raise UnusableDocument(f"{ARCHIVE} is damaged: {error}") from None


def _copy(content: IO[bytes], target: int, file: ProgramFile) -> str:
    """Write the content of one file, and return its SHA-256."""
    digest, left = hashlib.sha256(), file.bytes
    while piece := content.read(_PIECE_BYTES):
        left -= len(piece)
        if left < 0:
            raise UnusableDocument(f"{ARCHIVE} is damaged: {file.path} has more than {file.bytes} bytes")
        digest.update(piece)
        while piece:
            piece = piece[os.write(target, piece) :]
    return digest.hexdigest()


@contextmanager
def _new_file(top: int, path: str) -> Iterator[int]:
    """Open a new file at a path below the open folder `top`. Its folders are created, and none of them is a link."""
    first, slash, rest = path.partition("/")
    if slash:
        with suppress(FileExistsError):
            os.mkdir(first, dir_fd=top)
        with _open_descriptor(first, _FOLDER, top) as folder, _new_file(folder, rest) as file:
            yield file
        return
    with suppress(FileNotFoundError):
        os.unlink(first, dir_fd=top)
    with _open_descriptor(first, _NEW_FILE, top) as file:
        yield file


@contextmanager
def _open_descriptor(name: str, flags: int, folder: int | None = None) -> Iterator[int]:
    descriptor = os.open(name, flags, 0o666, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _zip_entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o100644 << 16
    return entry
