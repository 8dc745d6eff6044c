"""Ownership of a program's files: of its own user while it runs, of the worker before and after."""

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
    """Take back the files of a program of another user after its end, and remove the shared memory that it left.

    Nothing happens where the folder is this process's own, or this process is not root. Raises OSError.
    """
    user = folder.lstat().st_uid
    if os.geteuid() != 0 or user == 0:
        return
    change_owner(folder, os.geteuid(), os.getegid())
    for path in _SHARED_MEMORY.iterdir() if _SHARED_MEMORY.is_dir() else ():
        with suppress(OSError):
            if path.lstat().st_uid == user:
                path.unlink()
