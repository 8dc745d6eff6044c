"""An upload on its way in: received, hashed and parsed in a folder that nobody sees, then published or gone."""

import hashlib
import json
import logging
import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from api.body import pieces
from api.problems import HttpProblem
from shared.problems import Problem, Refused
from shared.settings import PREFIX, Settings

Format = Literal["csv", "parquet"]

_INCOMING = ".incoming-"
_PARQUET = b"PAR1"
# By content, never by name: none of these is opened, some of them run code when they are.
_REFUSED_FORMATS = {
    b"PK\x03\x04": "a zip, xlsx, npz or keras file",
    b"PK\x05\x06": "an empty zip file",
    b"\x89HDF": "an HDF5 file",
    b"\x1f\x8b": "gzip data",
    b"\x28\xb5\x2f\xfd": "zstd data",
    b"BZh": "bzip2 data",
    b"\xfd7zXZ": "xz data",
    b"\x93NUMPY": "a NumPy file",
    b"\xd0\xcf\x11\xe0": "an old Office file",
    b"ARROW1": "an Arrow file",
    b"FEA1": "a Feather file",
    b"ORC": "an ORC file",
    b"Obj\x01": "an Avro file",
    b"SQLite format 3": "an SQLite file",
    b"%PDF": "a PDF file",
    b"\x89PNG": "an image",
    b"\x7fELF": "a program",
    **{bytes([0x80, protocol]): "a pickle" for protocol in range(2, 6)},
}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Upload:
    """What came: where it lies, and what it is by its first bytes."""

    folder: Path
    format: Format
    bytes: int
    sha256: str

    @property
    def file(self) -> Path:
        return self.folder / "upload"

    def parsed(self, settings: Settings) -> dict[str, Any]:
        """Make `data.parquet` beside the upload, in a process of its own; the facts about it. Raises Refused."""
        order = {
            "format": self.format,
            "max_columns": settings.max_dataset_columns,
            "max_cells": settings.max_dataset_cells,
            "memory_bytes": settings.ingest_memory_bytes,
        }
        answer = _answer(self.folder, order, settings.ingest_timeout_seconds)
        if "problems" in answer:
            raise Refused([Problem(**problem) for problem in answer["problems"]])
        facts: dict[str, Any] = answer["facts"]
        self.file.unlink()
        return facts


@contextmanager
def received(datasets: Path, most_bytes: int) -> Iterator[Upload]:
    """The request's body on the volume. On leaving everything that was not published is gone, whatever happened.

    Raises HttpProblem: 413, 415, and 400 for a client that went away.
    """
    folder = datasets / f"{_INCOMING}{_host()}-{os.getpid()}-{secrets.token_hex(6)}"
    folder.mkdir()
    try:
        yield _stored(folder, most_bytes)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers(datasets: Path) -> None:
    """Remove what processes of this host left behind when they were killed. Called before the first upload."""
    for folder in datasets.glob(f"{_INCOMING}{_host()}-*"):
        owner = folder.name.rsplit("-", 2)[1]
        if owner.isdecimal() and not _is_another_process(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


def format_of(head: bytes) -> Format:
    """What begins with `head`: Parquet by its magic number, CSV else. Raises HttpProblem 415 for other files."""
    if head.startswith(_PARQUET):
        return "parquet"
    for magic, name in _REFUSED_FORMATS.items():
        if head.startswith(magic):
            raise HttpProblem(415, "unsupported_format", f"this is {name}; send CSV or Parquet, not packed")
    return "csv"


def _stored(folder: Path, most_bytes: int) -> Upload:
    hashed, size = sha256(), 0
    found: Format | None = None
    with (folder / "upload").open("xb") as file:
        for piece in pieces(most_bytes):
            found = found or format_of(piece)
            hashed.update(piece)
            size += len(piece)
            file.write(piece)
    if found is None:
        raise Refused([Problem("#", "the body is empty, expected CSV or Parquet", "empty")])
    return Upload(folder, found, size, hashed.hexdigest())


def _answer(folder: Path, order: dict[str, Any], timeout_seconds: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "api.ingest", str(folder)]
    # What parses foreign bytes knows no secret.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    try:
        done = subprocess.run(
            command,
            input=json.dumps(order).encode(),
            capture_output=True,
            env=environment,
            timeout=timeout_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        detail = f"took longer than {timeout_seconds:g} seconds to read"
        raise Refused([Problem("#", detail, "too_heavy")]) from None
    if done.returncode < 0:
        detail = f"could not be read within {order['memory_bytes']} bytes of memory"
        raise Refused([Problem("#", detail, "too_heavy")])
    if done.returncode > 0:
        log.error("reading an upload failed: %s", done.stderr[-4000:].decode(errors="replace"))
        raise HttpProblem(500, "internal_error", "reading the upload failed; the log has the reason")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def _is_another_process(pid: int) -> bool:
    """Whether another process of this number lives; our own has no upload yet when this is asked."""
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
