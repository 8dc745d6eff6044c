"""Receives uploads: a folder on the volume for each, the bytes of the request, and the parser's environment."""

import hashlib
import os
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flask import request

from api.http.body import pieces
from api.http.problems import HttpProblem
from shared.child_environment import is_for_training
from shared.processes import is_alive

_INCOMING = ".incoming-"
# Number of bytes between two checks of the free space.
_LOOK_BYTES = 64 * 1024**2


@contextmanager
def incoming_folder(datasets: Path) -> Iterator[Path]:
    """A new folder whose name says which process of which host it belongs to.

    At the end of the block, also after an exception, the folder is removed with everything that was not published.
    """
    folder = datasets / f"{_INCOMING}{_host()}-{os.getpid()}-{secrets.token_hex(6)}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def receive_pieces(folder: Path, most_bytes: int, reserve_bytes: int) -> Iterator[bytes]:
    """The request's body in pieces, for a file in `folder`.

    Raises HttpProblem: as `api.http.body.pieces`, and 507 if the volume would have less free space than its reserve.
    """
    size = look_at = 0
    announced = request.content_length or 0
    for piece in pieces(most_bytes):
        if size >= look_at:
            look_at += _LOOK_BYTES
            check_reserve(folder, max(len(piece), announced - size), reserve_bytes)
        size += len(piece)
        yield piece


def check_reserve(folder: Path, coming: int, reserve: int) -> None:
    """Raise HttpProblem 507 if `coming` more bytes leave the volume less free space than its reserve, in bytes."""
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize
    if free - coming < reserve:
        detail = (
            f"the volume has {free} bytes free, the upload needs {coming} more, and {reserve} stay free for jobs "
            "(FITSTOP_VOLUME_RESERVE_BYTES): delete datasets or jobs, or enlarge the volume"
        )
        raise HttpProblem(507, "volume_full", detail)


def parser_environment() -> dict[str, str]:
    """The environment of a process that parses an upload, without secrets, since it reads the bytes of a client."""
    return {name: value for name, value in os.environ.items() if is_for_training(name)}


def remove_leftovers(datasets: Path) -> None:
    """Remove the folders of killed processes of this host. Call this before the first upload."""
    for folder in datasets.glob(f"{_INCOMING}{_host()}-*"):
        owner = folder.name.rsplit("-", 2)[1]
        # Also those with our own process id: this process has no upload yet, so an earlier one had the same id.
        if owner.isdecimal() and (int(owner) == os.getpid() or not is_alive(int(owner))):
            shutil.rmtree(folder, ignore_errors=True)


def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
