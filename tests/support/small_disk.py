"""A small filesystem that a test fills, makes read-only or unmounts. Only root may mount one, on Linux."""

import os
import subprocess
from pathlib import Path


class NoMount(Exception):
    """Nothing can be mounted here; the text is the message of `mount`."""


class SmallDisk:
    """A tmpfs of `size_bytes` at `folder`, which is created. `close` unmounts it. Raises NoMount."""

    def __init__(self, folder: Path, size_bytes: int) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"
        self._empty = folder.with_name(f"{folder.name}-empty")
        folder.mkdir()
        self._empty.mkdir()
        _mount("-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(folder))

    @property
    def free_bytes(self) -> int:
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def fill(self, leave_bytes: int = 0) -> None:
        """Write until `leave_bytes` are free. Another call fills up the space that has been freed since."""
        with self._ballast.open("ab", buffering=0) as file:
            while (left := self.free_bytes - leave_bytes) > 0:
                try:
                    file.write(bytes(min(left, 1024**2)))
                except OSError:
                    return

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def make_read_only(self) -> None:
        """Make it read-only. Raises NoMount while a file is open for writing."""
        _mount("-o", "remount,ro", str(self.folder))

    def make_writable(self) -> None:
        _mount("-o", "remount,rw", str(self.folder))

    def take_away(self) -> None:
        """Show the empty mount point in its place."""
        _mount("--bind", str(self._empty), str(self.folder))

    def bring_back(self) -> list[str]:
        """Show it again, and return the names of what was created in the empty mount point meanwhile."""
        subprocess.run(["umount", str(self.folder)], check=True)
        return [path.name for path in self._empty.iterdir()]

    def close(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], check=False, capture_output=True)


def _mount(*arguments: str) -> None:
    try:
        done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise NoMount(str(error)) from None
    if done.returncode:
        raise NoMount(done.stderr.strip())
