"""XLA's compiled programs, stored for later jobs of this worker and of later workers on this machine.

Compiling a small job's programs takes longer than all of its epochs, and a job whose model and data have the shapes of
an earlier one's needs the same programs, to the last bit. XLA trusts the files of its cache, whose names tell neither
the machine nor the version. So XLA reads and writes in a folder of its training process alone, which holds verified
copies from a store (`program_store.py`); these folders lie in one of the worker's, which goes with it.

A process that cannot compile beside kept programs gives them up for its worker, and its job begins again without them.
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

# For a training process: its worker's folder, and the store.
VARIABLE = "KEPT_PROGRAMS"
STORE_VARIABLE = "KEPT_PROGRAMS_STORE"

_STORE = "compiled-programs"
_PREFIX = "fitstop-programs-"
_OF_PROCESS = "process-"
_GIVEN_UP = "given-up"
_LEAST_FREE_BYTES = 256 * 1024**2

log = logging.getLogger(__name__)


class KeptPrograms:
    """A worker's folder, held by a lock, and its store. A folder that nobody holds is that of a worker that was killed.

    `compiler` names all that decides what XLA makes of a program. Where that is unknown (None), or `cache` cannot be
    used, the store goes with the worker.
    """

    def __init__(self, cache: Path, compiler: str | None, above: Path | None = None) -> None:
        above = Path(tempfile.gettempdir()) if above is None else above
        self._folder: Path | None = None
        try:
            _remove_abandoned(above.glob(f"{_PREFIX}*"))
            folder, lock = _make_held(_PREFIX, above)
            # At this process's end at the latest.
            weakref.finalize(self, _remove, folder, lock)
            self._store = _lasting_store(cache, compiler) or make_store(folder / _STORE / "this-worker")
            self._folder = folder
        except OSError as error:
            log.warning("each job compiles again, because nothing can be stored in %s: %s", above, error.strerror)

    def environment(self) -> dict[str, str]:
        """What tells a new training process of them; empty where it is to compile without."""
        if self._folder is None or not _may_be_used(self._folder):
            return {}
        _remove_abandoned(self._folder.glob(f"{_OF_PROCESS}*"))
        return {VARIABLE: str(self._folder), STORE_VARIABLE: str(self._store)}

    def forget(self) -> None:
        """Have all programs compiled again: one of them may be at fault."""
        if self._folder is not None:
            empty(self._store)


def make_process_folder() -> Path:
    """In a training process: its own folder, which nobody removes before the process ends. Raises OSError."""
    return _make_held(_OF_PROCESS, Path(os.environ[VARIABLE]))[0]


def give_up() -> bool:
    """In a training process: have this worker use no kept program any more, and empty the store.

    False where the worker uses none, or cannot be informed.
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
    """A new folder, and the descriptor that holds its lock until this process ends."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=above))
        # Before it is locked, another process may take it for an abandoned one, and remove it.
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
            continue  # another user's, or gone by now
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(descriptor)
