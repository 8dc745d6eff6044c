"""The hash of a file, which may be of many gigabytes on a slow volume."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from shared.storage import at_path

_PIECE_BYTES = 16 * 1024**2


def do_nothing() -> None:
    """For a program that nobody stops."""


def sha256_of(path: Path, go_on: Callable[[], None] = do_nothing) -> str:
    """The SHA-256 of a file, in hexadecimal. `go_on` is called after each piece and stops it by raising."""
    digest = hashlib.sha256()
    with at_path(path), path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
            go_on()
    return digest.hexdigest()
