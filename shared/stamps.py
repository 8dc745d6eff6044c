"""What changes whenever a file changes: a reader compares it with what it saw before, never with a clock."""

import os
from pathlib import Path

Stamp = tuple[int, int, int, int]


def file_stamp(path: Path | str) -> Stamp | None:
    """The device, inode, size and modification time of a file, or None where there is none.

    Files of the volume are replaced whole, so that the inode is another one even where the times are the same.
    """
    try:
        found = os.stat(path)  # noqa: PTH116  asked for each file at each request
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
