"""The bucket behind a folder: writes through to it, and hints for the looks of other processes.

An exclusive create is decided in the bucket, and the folder follows. After a change, the unit of the file gets a hint:
an object below `changed/` with new content. If a killed process did not write its hint, the others see the change only
at their next look at everything. Nothing is decided by a hint.
"""

import errno
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from shared.durable import remove_tree
from shared.mirror.attached import attach
from shared.mirror.known import Known, KnownFiles
from shared.mirror.local_folder import Eager, LocalFolder, files_below, for_readers
from shared.mirror.names import (
    CHANGED,
    DECIDED_ONCE,
    RESERVED,
    UNHINTED,
    document_of,
    is_of_volume,
    order_of,
    unit_of,
)
from shared.mirror.reservations import Reservations
from shared.store.interface import AccessDenied, BadName, Store, StoreError

# Concurrent requests of one look.
AT_ONCE = 8
PIECE_BYTES = 8 * 1024**2
_CARD_SECONDS = 8.0
_PROBE = "deleted/probe"


class Mirror:
    """The bucket `store` behind the folder at `root`. `known` is what this machine has seen of the bucket."""

    def __init__(self, root: Path, store: Store, known: KnownFiles, eager: Eager = for_readers) -> None:
        self.root = root
        self.store = store
        self.known = known
        self.pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="bucket")
        # For tasks that wait for the other pool.
        self.pool_of_units = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="bucket-unit")
        self.folder = LocalFolder(root, store, known, self.pool, eager)
        self.reservations = Reservations(store)
        self.trouble = ""
        # Attempts with unfinished uploads: their folders stay ours after their end.
        self.uploading: set[str] = set()
        self._hints: set[str] = set()
        self._cards: dict[str, float] = {}
        attach(root, self)

    def name_of(self, path: Path) -> str:
        return os.fspath(path)[len(os.fspath(self.root)) + 1 :]

    # Written through

    def passes(self, path: Path) -> bool:
        # A file that is in `own` by its full name is uploaded with its attempt.
        return is_of_volume(name := self.name_of(path)) and name not in self.folder.own

    def create(self, path: Path, content: bytes) -> bool:
        name = self.name_of(path)
        try:
            with _as_os_error(path):
                has_won = self.store.create(name, content)
                if not has_won and (standing := self.store.read(name)) is not None:
                    self._note_written(name, standing)
                    self.folder.put(name, [standing])
        finally:
            # Without an answer, it may still have been done.
            self.hint(name)
        if has_won:
            self._note_owner(name)
            self._note_written(name, content)
        return has_won

    def _note_written(self, name: str, content: bytes) -> None:
        """Record new content, so that no earlier look undoes it and the next one compares it with the bucket."""
        if unit_of(name) is not None:
            self.known.put([(name, Known(len(content), f"written {secrets.token_hex(6)}", is_here=True))])

    def _note_owner(self, name: str) -> None:
        """Make the folder of an attempt our own at its claim, and release it at its end."""
        folder, _, last = name.rpartition("/")
        if last == "claim.json":
            self.folder.own |= _written_by_owner(folder)
        elif last == "end.json" and folder not in self.uploading:
            self.release(folder)

    def begin_uploads(self, attempt: str) -> None:
        """Make the files that this attempt decides for its job our own; earlier decisions are already here."""
        self.uploading.add(attempt)
        self.folder.own |= _decided_by_owner(attempt)

    def replace(self, path: Path, pieces: Iterable[bytes | memoryview]) -> bytes:
        name, content = self.name_of(path), b"".join(pieces)
        if self._is_too_soon(name):
            return content
        try:
            with _as_os_error(path):
                self.store.replace(name, [content])
        finally:
            self.hint(name)
        self._note_written(name, content)
        return content

    def remove(self, path: Path) -> None:
        name = self.name_of(path)
        try:
            with _as_os_error(path):
                self.store.remove(name)
        finally:
            self.hint(name)
        self.known.forget([name])

    def fetch(self, path: Path) -> bool:
        with _as_os_error(path):
            return self.folder.fetch(self.name_of(path))

    # Folders

    def publish(self, prepared: Path, place: Path, *, is_content: bool = False) -> bool:
        """Upload a prepared folder as the one at `place`, and move it there. False if the name is taken.

        The folder exists once its document is created, exclusively and last. A reservation decides which of two uploads
        of the same name wins; none is needed if the name is that of the content (`is_content`). If the name is taken,
        the folder that has it is downloaded, unless its upload is not finished.
        """
        name = self.name_of(place)
        with _as_os_error(place):
            is_done = self._publish(prepared, name) if is_content else self._publish_reserved(prepared, name)
            if not is_done:
                unit = unit_of(f"{name}/.") or name
                self.folder.sync(unit)
                return False
            self.hint(f"{name}/.")
            self._move(prepared, place)
        return True

    def _move(self, prepared: Path, place: Path) -> None:
        """Move the published folder to `place`. A look may have begun to download it."""
        name = self.name_of(place)
        sizes = {f"{name}/{one}": (prepared / one).stat().st_size for one in files_below(prepared)}
        try:
            prepared.rename(place)
        except OSError:
            self.folder.bring(name)
            shutil.rmtree(prepared, ignore_errors=True)
            return
        for entry in self.store.list(name):
            if sizes.get(entry.name) == entry.size:
                self.known.change(entry.name, None, Known(entry.size, entry.version, is_here=True), lambda: None)

    def _publish_reserved(self, prepared: Path, name: str) -> bool:
        document = document_of(name)
        if document is not None and self.store.read(document) is not None:
            return False
        place = self.reservations.reserve(name)
        if place is None:
            return False
        try:
            # An earlier upload may have finished before its process ended.
            has_ended = document is not None and place != f"{name}/{RESERVED}" and self.store.read(document) is not None
            return not has_ended and self._publish(prepared, name)
        except BaseException:
            self.reservations.give_up(place)
            raise

    def _publish(self, prepared: Path, name: str) -> bool:
        files = sorted((order_of(f"{name}/{one}"), one) for one in files_below(prepared))
        *others, document = [one for _, one in files]
        self.upload((prepared / one, f"{name}/{one}") for one in others)
        return self.store.create(f"{name}/{document}", (prepared / document).read_bytes())

    def remove_folder(self, place: Path) -> bool:
        """Remove a folder from the bucket, first the document that makes it exist. False if it does not exist."""
        name = self.name_of(place)
        with _as_os_error(place):
            found = sorted((entry.name for entry in self.store.list(name)), key=order_of, reverse=True)
            for one in found[:1]:
                self.store.remove(one)
            list(self.pool.map(self.store.remove, found[1:]))
        self.known.forget(found)
        self.hint(f"{name}/.")
        return bool(found)

    def upload_folder(self, folder: Path) -> None:
        """Upload all files below a folder of the volume under their own names."""
        name = self.name_of(folder)
        with _as_os_error(folder):
            self.upload((folder / one, f"{name}/{one}") for one in files_below(folder))

    def upload(self, files: Iterable[tuple[Path, str]]) -> None:
        """Upload files concurrently. Raises the first failure."""
        list(self.pool.map(lambda one: self.upload_file(*one), files))

    def upload_file(self, path: Path, name: str) -> None:
        self.store.replace(name, pieces_of(path))

    # Brought

    def bring(self, *folders: Path) -> None:
        for folder in folders:
            with _as_os_error(folder):
                self.folder.bring(self.name_of(folder))

    def refresh(self, folder: Path) -> None:
        unit = self.name_of(folder)
        with _as_os_error(folder):
            self.folder.sync(unit, with_logs=True)

    def missing_files(self, folder: Path) -> dict[str, int]:
        return self.folder.missing_files(self.name_of(folder))

    def release(self, attempt: str) -> None:
        """Stop owning an attempt's folder: looks treat it like any other one."""
        self.uploading.discard(attempt)
        self.folder.own -= _written_by_owner(attempt) | _decided_by_owner(attempt)

    def owns(self, attempt: Path) -> bool:
        return self.name_of(attempt) in self.folder.own

    def discard(self, attempt: Path) -> None:
        """Remove and `release` an attempt that others have ended. What it had not uploaded does not belong to it."""
        folder = self.name_of(attempt)
        files = (_written_by_owner(folder) | _decided_by_owner(folder)) - {folder}
        self.known.forget([*files, *self.known.below(folder)])
        # Files that a look downloads meanwhile, such as the end, may stay.
        remove_tree(attempt)
        for name in sorted(files):
            (self.root / name).unlink(missing_ok=True)
        self.release(folder)
        self.hint(f"{folder}/claim.json")

    # Hints and state

    def hint(self, name: str) -> None:
        """Queue the hint that the unit of `name` has changed, for the next look of this process."""
        unit = unit_of(name)
        if unit is not None and unit not in UNHINTED:
            self._hints.add(unit)

    def send_hints(self) -> None:
        """Send the queued hints. Raises StoreError; the next look sends the rest."""
        self.reservations.send()
        for unit in sorted(self._hints):
            # Before the request, so that a change meanwhile is sent again.
            self._hints.discard(unit)
            try:
                self.store.replace(f"{CHANGED}/{unit}", [secrets.token_hex(8).encode()])
            except StoreError:
                self._hints.add(unit)
                raise

    def check(self) -> None:
        """Raise OSError if the last look at the bucket failed."""
        if self.trouble:
            raise OSError(errno.EREMOTEIO, self.trouble, os.fspath(self.root))

    def probe(self, size: int) -> None:
        """Write an object of `size` bytes and remove it. Raises OSError if the bucket does not accept it."""
        name = f"{_PROBE}-{secrets.token_hex(6)}"
        with _as_os_error(self.root):
            self.store.replace(name, (os.urandom(min(PIECE_BYTES, size - at)) for at in range(0, size, PIECE_BYTES)))
            self.store.remove(name)

    def _is_too_soon(self, name: str) -> bool:
        """Whether it is a worker's card that was written a moment ago. Nothing is decided by a card."""
        if not name.startswith("workers/"):
            return False
        now = time.monotonic()
        if now - self._cards.get(name, -_CARD_SECONDS) < _CARD_SECONDS:
            return True
        self._cards[name] = now
        return False


@contextmanager
def _as_os_error(path: Path) -> Iterator[None]:
    """Translate the errors of a store into those of a failing volume."""
    try:
        yield
    except AccessDenied as error:
        raise OSError(errno.EACCES, str(error), os.fspath(path)) from error
    except (StoreError, BadName) as error:
        raise OSError(errno.EREMOTEIO, str(error), os.fspath(path)) from error


def _written_by_owner(attempt: str) -> set[str]:
    job, _, number = attempt.rpartition("/attempts/")
    return {attempt, f"{job}/system/{number}.jsonl"}


def _decided_by_owner(attempt: str) -> set[str]:
    """The files that the first attempt to need them creates, for all attempts."""
    job = attempt.rpartition("/attempts/")[0]
    return {f"{job}/{name}" for name in DECIDED_ONCE}


def pieces_of(path: Path) -> Iterator[bytes]:
    """Yield the content of a file in pieces."""
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield piece
