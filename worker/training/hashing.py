"""Hashes files, which may have many gigabytes and be on a slow volume."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from shared.storage import at_path

_PIECE_BYTES = 16 * 1024**2


def do_nothing() -> None:
    """The default of callbacks that may stop an operation: never stops it."""


def sha256_of(path: Path, keep_alive: Callable[[], None] = do_nothing) -> str:
    """The SHA-256 of a file, in hexadecimal. `keep_alive` is called after each 16 MiB, and may raise to stop."""
    digest = hashlib.sha256()
    with at_path(path), path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
            keep_alive()
    return digest.hexdigest()
