"""Stamps, which change whenever their file changes. A reader compares two stamps, never a stamp with a clock."""

import errno
import os
from pathlib import Path

# Including a folder above it that is not a folder, and a loop of links.
_NO_FILE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})

Stamp = tuple[int, int, int, int]


def file_stamp(path: Path | str) -> Stamp | None:
    """The device, inode, size and modification time of a file; None if it does not exist.

    Files of the volume are replaced whole, so the inode differs even if the times are equal.
    """
    try:
        found = os.stat(path)  # noqa: PTH116  called for each file at each request
    except OSError as error:
        if error.errno in _NO_FILE:
            return None
        raise
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
