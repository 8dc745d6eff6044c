"""Records the files that a thread opens, whatever code opens them."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_counts: dict[int, list[str]] = {}
_FOLDER = os.O_DIRECTORY | os.O_PATH


@contextmanager
def counted_reads() -> Iterator[list[str]]:
    """The names of the files that this thread opens in the `with` block, without folders and what SQLite opens."""
    _install()
    names: list[str] = []
    _counts[threading.get_ident()] = names
    try:
        yield names
    finally:
        del _counts[threading.get_ident()]


def _hook(event: str, facts: tuple[Any, ...]) -> None:
    if event == "open" and _counts and threading.get_ident() in _counts:
        path, _, flags = facts
        if isinstance(path, str) and not flags & _FOLDER:
            _counts[threading.get_ident()].append(path)


_is_installed = threading.Event()


def _install() -> None:
    """Install the audit hook once, because it stays until the process ends."""
    if not _is_installed.is_set():
        _is_installed.set()
        sys.addaudithook(_hook)
