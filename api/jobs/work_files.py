"""GET /jobs/{id}/files: the files in the working folder of a script. Their names and contents are untrusted.

No link is followed, and every file is sent as a download.
"""

import io
import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, BinaryIO

from flask import Response, request
from werkzeug.wsgi import wrap_file

from api.auth.projects import find_job
from api.auth.quotas import costly_read
from api.http.answer import json_response
from api.http.byte_range import with_plain_range
from api.http.operation import IF_NONE_MATCH, NOT_MODIFIED, Answer, json_answer, operation, text
from api.http.query import no_query
from api.shapes.jobs import JobFile, JobFiles
from api.state.service import service
from shared.document import UnusableDocument
from shared.job_folder import AttemptFolder, JobFolder
from shared.mirror.attached import missing_files
from shared.plain_files import open_folder, open_plain
from shared.problems import NotFound
from shared.program import ProgramInfo
from shared.spec import ProgramJobSpec
from shared.times import format_time

MOST_FILES = 10_000
_MOST_DEPTH = 32
_MOST_PATH = 4096
_MOST_NAME_BYTES = 255
# Folders of temporary files, and of Python's compiled files.
_HIDDEN_FOLDERS = frozenset({".tmp", "__pycache__"})
_BYTES = {"application/octet-stream": {"type": "string", "format": "binary"}}
_HEADERS = ("Content-Disposition", "ETag", "Accept-Ranges")


@operation(
    "listFiles",
    "files",
    "List the files that a script made",
    {200: json_answer(f"The files by path, at most {MOST_FILES}.", JobFiles)},
    errors=(404, 429),
)
def show_all(job_id: str) -> Response:
    """List the files that the script of the newest attempt created or changed. Jobs without a program have none.

    Links, devices, and names that are not UTF-8 or contain control characters, are counted and not listed.
    """
    no_query()
    job = find_job(job_id)
    attempt = _newest(job)
    listing = _Listing(_program_of(job))
    if attempt is not None:
        with costly_read():
            listing.read(attempt)
    files = sorted(listing.files, key=lambda file: file.path)
    return json_response(JobFiles(object="list", data=files, has_more=listing.is_full, left_out=listing.left_out))


@operation(
    "getFile",
    "files",
    "Download a file that a script made",
    {
        200: Answer("The file.", {**_BYTES}, headers=_HEADERS),
        206: Answer("Part of the file.", {**_BYTES}, headers=(*_HEADERS, "Content-Range")),
        304: NOT_MODIFIED,
    },
    headers={**IF_NONE_MATCH, "Range": text("Range of bytes."), "If-Range": text("ETag of the ranged file.")},
    errors=(404, 414, 416),
)
def show(job_id: str, path: str) -> Response:
    """Download one file of the list as it is now: a script that runs may change it."""
    no_query()
    attempt = _newest(find_job(job_id))
    if attempt is None or not _is_listed(path):
        raise NotFound("there is no file with this path")
    try:
        file = open_plain(attempt.files / path)
    except (UnusableDocument, FileNotFoundError, IsADirectoryError):
        raise NotFound("there is no file with this path") from None
    try:
        return _send(file, attempt, path)
    except BaseException:
        file.close()
        raise


def _newest(job: JobFolder) -> AttemptFolder | None:
    """The newest attempt whose script has started."""
    return next((attempt for attempt in reversed(job.attempts()) if _has_started(attempt)), None)


def _has_started(attempt: AttemptFolder) -> bool:
    return os.path.lexists(attempt.files) or bool(missing_files(attempt.files))


def _is_listed(path: str) -> bool:
    parts = path.split("/")
    if len(path) > _MOST_PATH or not _is_text(path) or any(len(part.encode()) > _MOST_NAME_BYTES for part in parts):
        return False
    return not ({"", ".", ".."} | _HIDDEN_FOLDERS) & set(parts)


def _program_of(job: JobFolder) -> ProgramInfo | None:
    """The version that the job runs; None without a program, or if the version was deleted or is damaged."""
    record = job.record()
    if record is None or not isinstance(record.spec, ProgramJobSpec):
        return None
    try:
        return service().volume.program(record.spec.program.id, record.program_version)
    except UnusableDocument:
        return None


class _Listing:
    """The files in a working folder, without the unchanged files of the program."""

    def __init__(self, program: ProgramInfo | None) -> None:
        self.files: list[JobFile] = []
        self.left_out = 0
        self.is_full = False
        self._own = {file.path: file.bytes for file in program.files} if program else {}
        self._unpacked_at = program.uploaded_at if program else 0

    def read(self, attempt: AttemptFolder) -> None:
        """Add the files of an attempt. Files that are removed in the meantime are left out."""
        try:
            with open_folder(attempt.files) as top:
                for path, found in self._walk(top):
                    if not self._is_unchanged(path, found):
                        self._add(path, found)
                    if self.is_full:
                        return
        except (UnusableDocument, FileNotFoundError):
            self.left_out += 1
        self._add_missing(attempt)

    def _add_missing(self, attempt: AttemptFolder) -> None:
        """Add large files that are only in the bucket. Their time of change is unknown until they are downloaded."""
        missing = missing_files(attempt.files).items()
        listed = [(path, size) for path, size in sorted(missing) if _is_listed(path)]
        self.left_out += len(missing) - len(listed)
        room = MOST_FILES - len(self.files)
        self.is_full = len(listed) > room
        self.files += [
            JobFile(object="job_file", path=path, bytes=size, changed_at=None) for path, size in listed[:room]
        ]

    def _walk(self, top: int) -> Iterator[tuple[str, os.stat_result]]:
        # fwalk opens each folder relative to a descriptor and checks that it is the same one, so no link is followed,
        # not even one that the script creates in the meantime.
        for place, folders, names, folder in os.fwalk(".", dir_fd=top):
            below = place.split("/")[1:]
            folders[:] = [one for one in folders if one not in _HIDDEN_FOLDERS and len(below) < _MOST_DEPTH]
            for name in names:
                try:
                    yield "/".join([*below, name]), os.stat(name, dir_fd=folder, follow_symlinks=False)
                except FileNotFoundError:
                    continue

    def _is_unchanged(self, path: str, found: os.stat_result) -> bool:
        return self._own.get(path) == found.st_size and found.st_mtime_ns == self._unpacked_at

    def _add(self, path: str, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode) or not _is_text(path) or len(path) > _MOST_PATH:
            self.left_out += 1
        elif len(self.files) == MOST_FILES:
            self.is_full = True
        else:
            self.files.append(
                JobFile(object="job_file", path=path, bytes=found.st_size, changed_at=_moment(found.st_mtime))
            )


def _moment(seconds: float) -> str | None:
    """The time of a file; None for one outside of the calendar, which a script may set."""
    try:
        return format_time(datetime.fromtimestamp(seconds, UTC))
    except (ValueError, OverflowError, OSError):
        return None


def _is_text(path: str) -> bool:
    if any(ord(one) < 32 or ord(one) == 127 for one in path):
        return False
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _send(file: BinaryIO, attempt: AttemptFolder, path: str) -> Response:
    found = os.fstat(file.fileno())
    etag = f"{attempt.number}-{found.st_ino:x}-{found.st_mtime_ns:x}-{found.st_size:x}"
    response = Response(
        wrap_file(request.environ, io.BufferedReader(_Bounded(file, found.st_size))), direct_passthrough=True
    )
    response.content_type = "application/octet-stream"
    response.content_length = found.st_size
    response.set_etag(etag)
    response.headers.set("Content-Disposition", "attachment", filename=path.rpartition("/")[2])
    response.headers["Cache-Control"] = "no-cache"
    environ = with_plain_range(request.environ, found.st_size, etag)
    response.make_conditional(environ, accept_ranges=True, complete_length=found.st_size)
    return response


class _Bounded(io.RawIOBase):
    """The first `size` bytes of a file, which the script may make longer while it is sent."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        super().__init__()
        self._file = file
        self._size = size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: Any) -> int:
        left = max(0, self._size - self._file.tell())
        piece = self._file.read(min(len(buffer), left))
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        self._file.close()
        super().close()
