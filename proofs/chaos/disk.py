"""Small separate disks: they can be filled and freed again, and the volume's can be made unavailable.

Only root may mount a tmpfs on Linux. Otherwise a disk is a plain folder, and `can_fill` is False.
"""

import errno
import os
import subprocess
import sys
from pathlib import Path

_VOLUME_BYTES = 768 * 1024**2
_LOCAL_BYTES = 256 * 1024**2


class Disk:
    """A tmpfs of `size` bytes at `folder`."""

    def __init__(self, folder: Path, size: int = _LOCAL_BYTES) -> None:
        self.folder = folder
        folder.mkdir()
        may_mount = sys.platform.startswith("linux") and os.geteuid() == 0
        self.can_fill = may_mount and _mount("-t", "tmpfs", "-o", f"size={size},mode=0755", "chaos", folder)
        self._ballast = folder / ".ballast"

    def fill(self, leave_bytes: int = 0) -> None:
        """Fill the disk until only `leave_bytes` are free."""
        size = 1024**2
        with self._ballast.open("ab", buffering=0) as file:
            while size >= 1024 and self._free_bytes() > leave_bytes:
                try:
                    file.write(bytes(max(1, min(size, self._free_bytes() - leave_bytes))))
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    size //= 2

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        if self.can_fill:
            subprocess.run(["umount", "--lazy", self.folder], check=False)

    def _free_bytes(self) -> int:
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize


class VolumeDisk(Disk):
    """The disk of the volume. The service uses it at `mounted`, where it can be unavailable; the judge in `folder`."""

    def __init__(self, folder: Path, mounted: Path) -> None:
        super().__init__(folder, _VOLUME_BYTES)
        self.mounted = mounted if self.can_fill else folder
        if self.can_fill:
            mounted.mkdir()
            self.bring_back()

    def take_away(self) -> None:
        """Unmount the volume. Open files stay open, as with a network filesystem that is remounted."""
        subprocess.run(["umount", "--lazy", self.mounted], check=True)

    def bring_back(self) -> None:
        _mount("--bind", self.folder, self.mounted)

    def close(self) -> None:
        if self.can_fill:
            self.take_away()
        super().close()

    def written_beside(self) -> list[str]:
        """What was written to the bare mount point while the volume was unavailable. Call it after `close`."""
        return sorted(str(path.relative_to(self.mounted)) for path in self.mounted.rglob("*")) if self.can_fill else []


def _mount(*arguments: object) -> bool:
    return subprocess.run(["mount", *map(str, arguments)], check=False, capture_output=True).returncode == 0
