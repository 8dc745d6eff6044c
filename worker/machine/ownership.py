"""Changes the owner of a program's files: its own user while it runs, the worker before and after."""

import os
from contextlib import suppress
from pathlib import Path

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108


def change_owner(folder: Path, user: int, group: int) -> None:
    """Make `user` and `group` the owner of a folder and of all in it. Links are not followed."""
    os.chown(folder, user, group, follow_symlinks=False)
    for _, folders, files, descriptor in os.fwalk(folder):
        for name in (*folders, *files):
            with suppress(FileNotFoundError):
                os.chown(name, user, group, dir_fd=descriptor, follow_symlinks=False)


def take_back(folder: Path) -> None:
    """Take ownership of the files of a program that ran as another user, and remove the shared memory that it left.

    Does nothing unless the folder belongs to another user and this process is root. Raises OSError.
    """
    user = folder.lstat().st_uid
    if os.geteuid() != 0 or user == 0:
        return
    change_owner(folder, os.geteuid(), os.getegid())
    for path in _SHARED_MEMORY.iterdir() if _SHARED_MEMORY.is_dir() else ():
        with suppress(OSError):
            if path.lstat().st_uid == user:
                path.unlink()
