"""Which storage failed, the volume or a disk of this machine, and whether it is full or broken.

The path that failed decides. An `OSError` often lacks it (write and fsync only know a descriptor), so the code that
writes adds it with `at_path`. Nearly everything is written to the volume, so an error without a path counts as one of
the volume, unless it reports a full disk, the volume has room and the temporary folder has none.
"""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

StorageCode = Literal["volume_full", "volume_error", "worker_disk_full", "worker_disk_error"]

# Minimum number of files that a filesystem must have room for, in addition to the bytes.
_LEAST_FREE_FILES = 64
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_BROKEN = frozenset(
    {
        errno.EIO,
        errno.ESTALE,
        errno.EROFS,
        errno.ETIMEDOUT,
        errno.ENOTCONN,
        errno.EACCES,
        errno.EPERM,
        errno.ENODEV,
        errno.ENXIO,
        errno.EREMOTEIO,
        errno.EHOSTDOWN,
        errno.ESHUTDOWN,
        errno.EUCLEAN,
        errno.ENOTDIR,
    }
)
_MESSAGES: dict[StorageCode, str] = {
    "volume_full": "the volume is full; the job continues when there is free space",
    "volume_error": "the volume could not be read or written",
    "worker_disk_full": "a local disk of the worker's machine is full (not the volume); free some space there",
    "worker_disk_error": "a local disk of the worker's machine could not be read or written",
}


@contextmanager
def at_path(path: Path) -> Iterator[None]:
    """Add `path` to an OSError that is raised inside and names no path."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = os.fspath(path)
        raise


def check_room(folder: Path, least_bytes: int) -> None:
    """Raise OSError (ENOSPC) if the filesystem of `folder` has less space, or no room for 64 files. Ignores quotas."""
    found = os.statvfs(folder)
    no_files = found.f_files > 0 and found.f_favail < _LEAST_FREE_FILES
    if no_files or found.f_bavail * found.f_frsize < least_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def is_storage_error(error: OSError) -> bool:
    """Whether a file or a disk failed, and not a connection, a process or a limit."""
    return isinstance(error.filename, str | bytes) or error.errno in FULL | _BROKEN


def classify_storage_error(error: OSError, volume_root: Path) -> StorageCode:
    """Which storage failed, from the path, and whether it is full, from the error number."""
    is_full = error.errno in FULL
    if _is_of_volume(error, volume_root):
        return "volume_full" if is_full else "volume_error"
    return "worker_disk_full" if is_full else "worker_disk_error"


def storage_message(code: StorageCode, error: OSError | None = None) -> str:
    """A sentence for people, with the system's reason if it is known. It names no path."""
    reason = error.strerror if error is not None and code in {"volume_error", "worker_disk_error"} else None
    return f"{_MESSAGES[code]}: {reason}" if reason else _MESSAGES[code]


def _is_of_volume(error: OSError, volume_root: Path) -> bool:
    names = [name for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    if names:
        return any(Path(os.path.abspath(os.fsdecode(name))).is_relative_to(volume_root) for name in names)  # noqa: PTH100  resolving links could fail on a broken disk
    return error.errno not in FULL or not (_has_room(volume_root) and not _has_room(Path(tempfile.gettempdir())))


def _has_room(folder: Path) -> bool:
    try:
        found = os.statvfs(folder)
    except OSError:
        return False
    return found.f_bavail > 0 and (found.f_favail > 0 or found.f_files == 0)
