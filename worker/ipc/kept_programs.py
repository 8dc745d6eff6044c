"""XLA's compiled programs, kept from one job to the next for as long as a worker lives.

Compiling a small job's programs takes longer than all of its epochs, and a job whose model and data have the shapes of
an earlier one's needs the same programs, to the last bit. XLA believes the files of its cache, whose names tell neither
the machine nor the version; so a worker's children read only what others of its children have written since its start,
into a folder that goes with it.

A child that cannot compile beside kept programs gives them up for the worker, and its job begins again without them.
"""

import fcntl
import logging
import os
import shutil
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path

# Tells a child the folder.
VARIABLE = "KEPT_PROGRAMS"

_PREFIX = "fitstop-programs-"
_GIVEN_UP = "given-up"
# Two to each shape of a job, of half a megabyte and less each for a small model on a CPU.
_MOST_FILES = 128
_LEAST_FREE_BYTES = 256 * 1024**2

log = logging.getLogger(__name__)


class KeptPrograms:
    """The folder of one worker, held by a lock; a folder that nobody holds is that of a worker that was killed."""

    def __init__(self, above: Path | None = None) -> None:
        above = Path(tempfile.gettempdir()) if above is None else above
        self._folder: Path | None = None
        try:
            _remove_abandoned(above)
            self._folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=above))
            lock = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
            # At this process's end at the latest.
            weakref.finalize(self, _remove, self._folder, lock)
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            self._folder = None
            log.warning("each job compiles again, since nothing can be kept in %s: %s", above, error.strerror)

    def environment(self) -> dict[str, str]:
        """What tells a new child of them; empty where it had better compile by itself."""
        if self._folder is None or not _may_be_used(self._folder):
            return {}
        _keep_newest(self._folder, _MOST_FILES)
        return {VARIABLE: str(self._folder)}

    def forget(self) -> None:
        """Have all programs compiled again: one of them may be at fault."""
        if self._folder is not None:
            _keep_newest(self._folder, 0)


def give_up() -> bool:
    """In a child: have this worker use no kept program any more; False where it uses none, or cannot be told."""
    folder = os.environ.get(VARIABLE)
    try:
        if folder is not None:
            (Path(folder) / _GIVEN_UP).touch()
    except OSError:
        return False
    return folder is not None


def _may_be_used(folder: Path) -> bool:
    if len(str(folder).split()) > 1:
        return False  # TensorFlow's flags end at a space
    try:
        return not (folder / _GIVEN_UP).exists() and shutil.disk_usage(folder).free >= _LEAST_FREE_BYTES
    except OSError:
        return False


def _keep_newest(folder: Path, most: int) -> None:
    """Remove all programs but the newest ones; a file or folder that others took away meanwhile is no matter."""
    with suppress(OSError):
        files = sorted((file for file in folder.iterdir() if file.name != _GIVEN_UP), key=_written_at)
        for file in files[: max(0, len(files) - most)]:
            file.unlink(missing_ok=True)


def _written_at(file: Path) -> int:
    """In nanoseconds; 0 for a file that is gone."""
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _remove(folder: Path, lock: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os.close(lock)


def _remove_abandoned(above: Path) -> None:
    for folder in above.glob(f"{_PREFIX}*"):
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            continue  # another user's, or gone by now
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(descriptor)
