"""What changes whenever a file changes: a reader compares it with what it saw before, never with a clock."""

import errno
import os
from pathlib import Path

# Also where a folder above it is none, or a link in a circle.
_NO_FILE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})

Stamp = tuple[int, int, int, int]


def file_stamp(path: Path | str) -> Stamp | None:
    """The device, inode, size and modification time of a file, or None where there is none.

    Files of the volume are replaced whole, so that the inode is another one even where the times are the same.
    """
    try:
        found = os.stat(path)  # noqa: PTH116  asked for each file at each request
    except OSError as error:
        if error.errno in _NO_FILE:
            return None
        raise
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
