"""The folders of uploads on their way in, one for each, on the volume beside the datasets."""

import hashlib
import os
import secrets
import shutil
import socket
from pathlib import Path

from shared.processes import is_alive

_INCOMING = ".incoming-"


def make_folder(datasets: Path) -> Path:
    """A new folder whose name says which process of which host it belongs to."""
    folder = datasets / f"{_INCOMING}{_host()}-{os.getpid()}-{secrets.token_hex(6)}"
    folder.mkdir()
    return folder


def remove_leftovers(datasets: Path) -> None:
    """Remove what processes of this host left behind when they were killed. Called before the first upload."""
    for folder in datasets.glob(f"{_INCOMING}{_host()}-*"):
        owner = folder.name.rsplit("-", 2)[1]
        # Under our own number too: we have no upload yet.
        if owner.isdecimal() and (int(owner) == os.getpid() or not is_alive(int(owner))):
            shutil.rmtree(folder, ignore_errors=True)


def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
