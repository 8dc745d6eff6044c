"""Uploads on their way in: a folder for each, on the volume beside the datasets; their bytes; what parses them."""

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
# Between two looks at the free space.
_LOOK_BYTES = 64 * 1024**2


@contextmanager
def incoming_folder(datasets: Path) -> Iterator[Path]:
    """A new folder whose name says which process of which host it belongs to.

    On leaving, everything that was not published is gone, whatever happened.
    """
    folder = datasets / f"{_INCOMING}{_host()}-{os.getpid()}-{secrets.token_hex(6)}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def receive_pieces(folder: Path, most_bytes: int, reserve_bytes: int) -> Iterator[bytes]:
    """The request's body in pieces, for a file in `folder`, as long as the volume keeps its reserve.

    Raises HttpProblem: as `api.http.body.pieces`, and 507.
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
    """Raise HttpProblem where the volume would have less free space than its reserve after `coming` bytes more."""
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize
    if free - coming < reserve:
        detail = (
            f"the volume has {free} bytes free, the upload needs {coming} more, and {reserve} stay free for jobs "
            "(FITSTOP_VOLUME_RESERVE_BYTES): delete datasets or jobs, or enlarge the volume"
        )
        raise HttpProblem(507, "volume_full", detail)


def parser_environment() -> dict[str, str]:
    """The environment of a process that parses an upload: what reads foreign bytes knows no secret."""
    return {name: value for name, value in os.environ.items() if is_for_training(name)}


def remove_leftovers(datasets: Path) -> None:
    """Remove what processes of this host left behind when they were killed. Called before the first upload."""
    for folder in datasets.glob(f"{_INCOMING}{_host()}-*"):
        owner = folder.name.rsplit("-", 2)[1]
        # Under our own number too: we have no upload yet.
        if owner.isdecimal() and (int(owner) == os.getpid() or not is_alive(int(owner))):
            shutil.rmtree(folder, ignore_errors=True)


def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
