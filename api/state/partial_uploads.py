"""Uploads that continue after a lost connection: a folder for each on the volume, which no process owns.

    .partial-<digest>/upload.json   the dataset to create, the length of the file, and the options of its parsing
    .partial-<digest>/data          the bytes so far; its size is the offset at which the upload continues

The bytes are written as they arrive, so none are lost with a killed process. A request that appends or publishes holds
a lock on `data`, which the kernel releases with the process. Two projects share no upload: the digest contains the
project's name.
"""

import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from api.http.problems import HttpProblem
from api.state.incoming import incoming_folder
from shared.dataset import AskedKind
from shared.document import Document, UnusableDocument, read_document
from shared.durable import create_file, encode, sync_folder
from shared.plain_files import open_plain_to_write
from shared.problems import NotFound

# Time without a new byte after which an upload is removed.
KEPT_SECONDS = 86_400

_PARTIAL = ".partial-"
_RETRY_SECONDS = 5


class PartialInfo(Document):
    """`upload.json`: the request that started the upload. `length` is in bytes."""

    dataset_id: str
    upload_id: str
    project: str
    length: int
    name: str | None
    missing_values: tuple[str, ...] | None
    column_kinds: dict[str, AskedKind]


@dataclass(frozen=True)
class PartialUpload:
    """An upload that has started and is not a dataset yet."""

    folder: Path
    info: PartialInfo

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def offset(self) -> int:
        """The number of received bytes."""
        return self.data.lstat().st_size

    @contextmanager
    def open(self) -> Iterator[FileIO]:
        """Lock the data and open it for appending, without a buffer.

        Raises HttpProblem 409 while another request has the lock, and NotFound if the upload has just ended.
        """
        with _open_existing(self.data) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                detail = "another request is sending or publishing this upload; try again later"
                raise HttpProblem(409, "upload_in_use", detail, retry_after=_RETRY_SECONDS) from None
            if not _is_at(self.data, file):  # it ended before it was locked
                raise no_such_upload()
            file.seek(0, os.SEEK_END)
            yield file

    def remove(self) -> None:
        """Remove the upload in one step."""
        _remove(self.folder)


def begin_upload(datasets: Path, info: PartialInfo) -> PartialUpload:
    """Start an upload, or return the one with this dataset, id and project; its other facts may differ from `info`."""
    folder = _folder(datasets, info.project, info.dataset_id, info.upload_id)
    with incoming_folder(datasets) as prepared:
        create_file(prepared / "upload.json", encode(info.model_dump(mode="json")))
        (prepared / "data").touch()
        sync_folder(prepared)
        try:
            prepared.rename(folder)
        except OSError:  # it exists already
            if not folder.exists():
                raise
    sync_folder(datasets)
    begun = find_upload(datasets, info.project, info.dataset_id, info.upload_id)
    if begun is None:  # it has ended in the meantime
        raise no_such_upload()
    return begun


def find_upload(datasets: Path, project: str, dataset_id: str, upload_id: str) -> PartialUpload | None:
    """The unfinished upload of a project; None if it does not exist. Raises UnusableDocument."""
    folder = _folder(datasets, project, dataset_id, upload_id)
    info = read_document(folder / "upload.json", PartialInfo)
    return None if info is None else PartialUpload(folder, info)


def all_uploads(datasets: Path) -> list[PartialUpload]:
    """All unfinished uploads, without those that cannot be read."""
    found = []
    for folder in datasets.glob(f"{_PARTIAL}*"):
        try:
            info = read_document(folder / "upload.json", PartialInfo)
        except (ValueError, OSError):
            continue
        found += [PartialUpload(folder, info)] if info else []
    return found


def remove_expired(datasets: Path) -> None:
    """Remove the uploads without a new byte for KEPT_SECONDS, by the volume's own clock."""
    probe = datasets / f"{_PARTIAL}{secrets.token_hex(6)}"
    probe.mkdir()
    now = probe.stat().st_mtime
    probe.rmdir()
    for folder in datasets.glob(f"{_PARTIAL}*"):
        data = folder / "data"
        try:
            with open_plain_to_write(data) as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if now - data.stat().st_mtime < KEPT_SECONDS:
                    continue
                _remove(folder)
        except (OSError, UnusableDocument):  # in use, just removed, or not an upload
            continue


def _remove(folder: Path) -> None:
    with incoming_folder(folder.parent) as trash:
        folder.rename(trash / folder.name)


def _folder(datasets: Path, project: str, dataset_id: str, upload_id: str) -> Path:
    name = "\n".join((project, dataset_id, upload_id))
    return datasets / f"{_PARTIAL}{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def _is_at(path: Path, file: FileIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _open_existing(data: Path) -> FileIO:
    try:
        return open_plain_to_write(data)
    except FileNotFoundError:
        raise no_such_upload() from None


def no_such_upload() -> NotFound:
    """The refusal of an id without an unfinished upload."""
    return NotFound("there is no unfinished upload with this id: it was never started, has finished, or has expired")
