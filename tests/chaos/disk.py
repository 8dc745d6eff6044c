"""A volume on a small disk of its own, which can be filled and given free again."""

import errno
import os
import subprocess
import sys
from pathlib import Path

_BYTES = 512 * 1024**2


class Disk:
    """A tmpfs at `folder`; only root may mount one on Linux. Elsewhere a plain folder, and `can_fill` is False."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.can_fill = sys.platform.startswith("linux") and os.geteuid() == 0 and self._mount()
        self._ballast = folder / ".ballast"

    def fill(self) -> None:
        """Leave not one byte."""
        size = 1024**2
        with self._ballast.open("ab", buffering=0) as file:
            while size >= 1024:
                try:
                    file.write(bytes(size))
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    size //= 2

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        if self.can_fill:
            subprocess.run(["umount", "--lazy", self.folder], check=False)

    def _mount(self) -> bool:
        arguments = ["mount", "-t", "tmpfs", "-o", f"size={_BYTES},mode=0755", "chaos", self.folder]
        return subprocess.run(arguments, check=False, capture_output=True).returncode == 0
