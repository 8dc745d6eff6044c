"""Disk use of folders."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def used_bytes(folder: Path) -> Iterator[int]:
    """Yield the bytes on the disk of each file and folder below `folder`, each once. Ignores files that disappear."""
    seen: set[tuple[int, int]] = set()
    for _, folders, names, descriptor in os.fwalk(folder):
        for name in (*folders, *names):
            with suppress(OSError):
                found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                if (found.st_dev, found.st_ino) not in seen:
                    seen.add((found.st_dev, found.st_ino))
                    yield found.st_blocks * 512
