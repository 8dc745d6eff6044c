"""XLA's compiled programs, stored for later jobs of this worker and of later workers on this machine.

Compiling the programs of a small job takes longer than all of its epochs, and a job whose model and data have the same
shapes as those of an earlier job needs exactly the same programs. XLA trusts the files in its cache, whose names
contain neither the machine nor the version. So each training process gives XLA its own folder, with verified copies
from a store (`program_store.py`). These folders are in a folder of the worker, which is removed when the worker ends.

If a process fails to compile with stored programs, its worker stops using them, and the job starts again without them.
"""

import fcntl
import logging
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from worker.ipc.program_store import empty, make_store

# Environment variables of a training process: its worker's folder, and the store.
VARIABLE = "KEPT_PROGRAMS"
STORE_VARIABLE = "KEPT_PROGRAMS_STORE"

_STORE = "compiled-programs"
_PREFIX = "fitstop-programs-"
_OF_PROCESS = "process-"
_GIVEN_UP = "given-up"
_LEAST_FREE_BYTES = 256 * 1024**2

log = logging.getLogger(__name__)


class KeptPrograms:
    """A worker's folder, which it locks, and its store. A folder without a lock belongs to a worker that was killed.

    `cache`: the folder of the store. `compiler`: identifies everything that XLA's result depends on
    (`identify_compiler`). If it is None, or `cache` cannot be used, the store is in the worker's folder and is removed
    with it.
    """

    def __init__(self, cache: Path, compiler: str | None, above: Path | None = None) -> None:
        above = Path(tempfile.gettempdir()) if above is None else above
        self._folder: Path | None = None
        try:
            _remove_abandoned(above.glob(f"{_PREFIX}*"))
            folder, lock = _make_held(_PREFIX, above)
            # Runs at the end of this process at the latest.
            weakref.finalize(self, _remove, folder, lock)
            self._store = _lasting_store(cache, compiler) or make_store(folder / _STORE / "this-worker")
            self._folder = folder
        except OSError as error:
            log.warning("each job compiles again, because nothing can be stored in %s: %s", above, error.strerror)

    def environment(self) -> dict[str, str]:
        """The environment variables for a new training process; empty if it must not use stored programs."""
        if self._folder is None or not _may_be_used(self._folder):
            return {}
        _remove_abandoned(self._folder.glob(f"{_OF_PROCESS}*"))
        return {VARIABLE: str(self._folder), STORE_VARIABLE: str(self._store)}

    def forget(self) -> None:
        """Remove all stored programs, because one of them may be the cause of a failure."""
        if self._folder is not None:
            empty(self._store)


def make_process_folder() -> Path:
    """In a training process: create its folder, which exists until the process ends. Raises OSError."""
    return _make_held(_OF_PROCESS, Path(os.environ[VARIABLE]))[0]


def give_up() -> bool:
    """In a training process: make its worker stop using stored programs, and empty the store.

    False if the worker uses none, or cannot be informed.
    """
    if VARIABLE not in os.environ:
        return False
    try:
        (Path(os.environ[VARIABLE]) / _GIVEN_UP).touch()
    except OSError:
        return False
    empty(Path(os.environ[STORE_VARIABLE]))
    return True


def _lasting_store(cache: Path, compiler: str | None) -> Path | None:
    try:
        if compiler is not None:
            return make_store(cache / _STORE / compiler)
    except OSError as error:
        log.warning("compiled programs are stored only until this worker ends: %s: %s", error.filename, error.strerror)
    return None


def _may_be_used(folder: Path) -> bool:
    if len(str(folder).split()) > 1:
        return False  # TensorFlow's flags end at a space
    try:
        return not (folder / _GIVEN_UP).exists() and shutil.disk_usage(folder).free >= _LEAST_FREE_BYTES
    except OSError:
        return False


def _make_held(prefix: str, above: Path) -> tuple[Path, int]:
    """Create and lock a folder; return it with the descriptor, which has the lock until this process ends."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=above))
        # Before it is locked, another process may consider it abandoned and remove it. Then try again.
        with suppress(FileNotFoundError):
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():
                return folder, lock
            os.close(lock)


def _remove(folder: Path, lock: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os.close(lock)


def _remove_abandoned(folders: Iterable[Path]) -> None:
    for folder in folders:
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            continue  # it belongs to another user, or no longer exists
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(descriptor)
