"""The files of a bucket that are on this machine: brought, kept current, and removed when they are gone."""

import logging
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path

from shared.durable import TEMPORARY_SUFFIX
from shared.mirror.known import Known, KnownFiles
from shared.mirror.names import (
    document_of,
    is_content,
    is_decided_once,
    is_of_volume,
    is_temporary_name,
    order_of,
    unit_of,
)
from shared.store.bucket import SMALL_BYTES
from shared.store.interface import Entry, FileChanged, Store

_MOST_NAME_BYTES = 200
# How often a file that is being replaced is tried.
_TRIES = 3
# A larger file is brought when somebody opens it.
_EAGER_BYTES = 1024**2

Eager = Callable[[Entry], bool]

log = logging.getLogger(__name__)


def for_readers(entry: Entry) -> bool:
    """What the API has here at all times: everything but large files. Of a log each look brings what is new."""
    return entry.size <= _EAGER_BYTES or is_log(entry.name)


def for_workers(entry: Entry) -> bool:
    """What a worker has here of all that it looks at: documents, by which jobs and sweeps are decided."""
    name = entry.name
    is_of_run = "/attempts/" in name and (not name.endswith(".json") or "/files/" in name or "/checkpoints/" in name)
    is_data = is_content(unit_of(name) or "") and not name.endswith(".json")
    return entry.size <= _EAGER_BYTES and not (is_of_run or is_data) and not name.endswith((".keras", ".jsonl"))


class LocalFolder:
    """The folder at `root`. `own` are the folders and files in it that this machine alone writes at the moment.

    `eager` says which files a look brings; the others are brought when somebody opens them.
    """

    def __init__(
        self, root: Path, store: Store, known: KnownFiles, pool: ThreadPoolExecutor, eager: Eager = for_readers
    ) -> None:
        self.root = root
        self.own: set[str] = set()
        self._eager = eager
        self._store = store
        self._known = known
        self._pool = pool

    def bring(self, folder: str) -> None:
        """Bring all that the bucket has below a folder, large files too. Raises StoreError, OSError.

        What an attempt of another process has left here and never uploaded goes: nobody resumes from it.
        """
        for _ in range(_TRIES):
            known = self._known.below(folder)
            entries = [entry for entry in self._store.list(folder) if self._may_bring(entry.name)]
            self._remove_strays(folder, {entry.name for entry in entries}, known)
            if self._bring_entries((entry for entry in entries if not self._is_here(entry, known)), known):
                return

    def _remove_strays(self, folder: str, listed: set[str], known: Mapping[str, Known]) -> None:
        for name in (f"{folder}/{one}" for one in files_below(self.root / folder)):
            if "/attempts/" in name and name not in listed and not self.is_own(name):
                self._known.change(name, known.get(name), None, partial(self._remove, name))

    def fetch(self, name: str) -> bool:
        """Bring a file that the bucket has; False where neither the bucket nor the folder has it."""
        for _ in range(_TRIES):
            known = self._known.find(name)
            if known is None or known.is_here:
                break
            if self._bring_file(Entry(name, known.size, time.time_ns(), known.version), known):
                return True
        return (self.root / name).exists()

    def sync(self, unit: str, *, with_logs: bool = False) -> None:
        """Make a unit what the bucket's is, but for what is brought later and what is our own.

        `with_logs`: to decide by it. Raises StoreError, OSError.
        """
        known, entries = self._known.below(unit), list(self._store.list(unit))
        if with_logs:
            # Somebody decides by it: what no bucket has does not count.
            self._remove_strays(unit, {entry.name for entry in entries}, known)
        self.sync_listed(unit, entries, known, with_logs=with_logs)

    def sync_listed(
        self, unit: str, listed: Iterable[Entry], known: Mapping[str, Known], *, with_logs: bool = False
    ) -> None:
        """`sync` by a list that somebody has; `known` is what was known before it was made."""
        entries = [entry for entry in listed if not self.is_own(entry.name) and (unit_of(entry.name) or "") == unit]
        document = document_of(unit)
        if document and not any(entry.name == document for entry in entries):
            # Somebody uploads it, or was killed while doing so.
            entries = []
        known = {name: one for name, one in known.items() if (unit_of(name) or "") == unit}
        # A log that was brought once is kept current: who ends an attempt counts its bytes.
        logs = {one.name for one in entries if is_log(one.name) and (with_logs or _was_brought(known.get(one.name)))}
        wanted = [entry for entry in entries if entry.name in logs or self._eager(entry)]
        here = set(wanted)
        later = [entry for entry in entries if not (entry in here or _is_same(entry, known.get(entry.name)))]
        for entry in later:
            unlink = partial((self.root / entry.name).unlink, missing_ok=True)
            there = Known(entry.size, entry.version, is_here=False)
            self._known.change(entry.name, known.get(entry.name), there, unlink)
        self._bring_entries((entry for entry in wanted if not self._is_here(entry, known)), known)
        gone = known.keys() - {entry.name for entry in entries}
        self._remove_gone(unit, {name: known[name] for name in gone if not self.is_own(name)})

    def drop(self, unit: str) -> None:
        """Forget a unit that this machine does not need any more."""
        known = self._known.below(unit) if "/" in unit else {}
        if known and not any(own == unit or own.startswith(f"{unit}/") for own in self.own):
            self._known.forget(known)
            shutil.rmtree(self.root / unit, ignore_errors=True)

    def _bring_entries(self, entries: Iterable[Entry], known: Mapping[str, Known]) -> bool:
        """Bring these files, a sign after what it stands for; False where one has changed meanwhile."""
        waiting = sorted(entries, key=lambda entry: order_of(entry.name))
        ordinary = [entry for entry in waiting if not order_of(entry.name)[3]]
        signs = [entry for entry in waiting if order_of(entry.name)[3]]
        brought = list(self._pool.map(lambda entry: self._bring_file(entry, known.get(entry.name)), ordinary))
        return all([*brought, *(self._bring_file(entry, known.get(entry.name)) for entry in signs)])

    def put(self, name: str, pieces: Iterable[bytes]) -> None:
        """Put a file into the folder, whole; it need not survive a power cut."""
        with self._written_beside(name, pieces) as beside:
            beside.replace(self.root / name)

    @contextmanager
    def _written_beside(self, name: str, pieces: Iterable[bytes], modified_ns: int | None = None) -> Iterator[Path]:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        last = os.fsdecode(os.fsencode(path.name)[:_MOST_NAME_BYTES])
        beside = path.with_name(f".{last}.{secrets.token_hex(6)}{TEMPORARY_SUFFIX}")
        try:
            with beside.open("xb") as file:
                for piece in pieces:
                    file.write(piece)
            if modified_ns is not None:
                os.utime(beside, ns=(modified_ns, modified_ns))
            yield beside
        finally:
            beside.unlink(missing_ok=True)

    def is_own(self, name: str) -> bool:
        """Whether this machine alone writes the file at the moment. Who ended an attempt may be another one."""
        return not name.endswith("/end.json") and any(name == one or name.startswith(f"{one}/") for one in self.own)

    def _remove_gone(self, unit: str, gone: Mapping[str, Known]) -> None:
        for name in sorted(gone, key=order_of, reverse=True):
            self._known.change(name, gone[name], None, partial(self._remove, name))
        if f"{unit}/spec.json" in gone:
            shutil.rmtree(self.root / unit, ignore_errors=True)

    def _remove(self, name: str) -> None:
        """Remove a file, and the folders above it that hold nothing any more; the volume's own folders stay."""
        path = self.root / name
        path.unlink(missing_ok=True)
        while self.root not in {path.parent, path.parent.parent}:
            path = path.parent
            try:
                path.rmdir()
            except OSError:
                return

    def _may_bring(self, name: str) -> bool:
        return is_of_volume(name) and not self.is_own(name)

    def _is_here(self, entry: Entry, known: Mapping[str, Known]) -> bool:
        there = Known(entry.size, entry.version, is_here=True)
        return known.get(entry.name) == there and (self.root / entry.name).exists()

    def _bring_file(self, entry: Entry, known: Known | None) -> bool:
        """Bring one file, of which `known` was known before the list; nothing happens where it is gone since.

        False where somebody has replaced it, or brought or removed another version here, meanwhile.
        """
        there = Known(entry.size, entry.version, is_here=True)
        try:
            appended = self._append_to_log(entry, known)
            if appended is not None:
                return appended
            with self._written_beside(entry.name, self._pieces(entry), entry.modified_ns) as beside:
                return self._known.change(entry.name, known, there, partial(self._put_in_place, beside, entry.name))
        except FileNotFoundError:
            return True
        except FileChanged:
            return False
        except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
            if not (is_decided_once(entry.name) and (self.root / entry.name).is_file()):
                _log_stranger(entry.name, str(error))
            return True

    def _put_in_place(self, beside: Path, name: str) -> None:
        """Raises FileExistsError where an attempt that has begun since the list has decided here."""
        if is_decided_once(name):
            (self.root / name).hardlink_to(beside)
        else:
            beside.replace(self.root / name)

    def _pieces(self, entry: Entry) -> Iterable[bytes]:
        if entry.size > SMALL_BYTES:
            return self._store.stream(entry.name)
        content = self._store.read(entry.name)
        if content is None:
            raise FileNotFoundError(entry.name)
        return [content]

    def missing_files(self, folder: str) -> dict[str, int]:
        """The files below a folder that the bucket has and that have not been brought: bytes by name in the folder."""
        known = self._known.below(folder)
        return {name.removeprefix(f"{folder}/"): one.size for name, one in known.items() if not one.is_here}

    def _append_to_log(self, entry: Entry, known: Known | None) -> bool | None:
        """Append what is new of a log; None where it has to be brought whole, else as `_bring_file`."""
        path = self.root / entry.name
        if not is_log(entry.name) or known is None or not known.is_here or not path.exists():
            return None
        if not path.stat().st_size == known.size < entry.size:
            return None
        grown = self._store.read_range(entry.name, known.size, entry.size - known.size)

        def append() -> None:
            with path.open("ab") as file:
                file.write(grown)
            os.utime(path, ns=(entry.modified_ns, entry.modified_ns))

        return self._known.change(entry.name, known, Known(entry.size, entry.version, is_here=True), append)


def files_below(folder: Path) -> Iterator[str]:
    """The regular files below a folder, by their names in it; none where it is not there."""
    pending = [""] if folder.is_dir() else []
    while pending:
        here = pending.pop()
        for entry in os.scandir(folder / here):
            name = f"{here}/{entry.name}" if here else entry.name
            if entry.is_dir(follow_symlinks=False):
                pending.append(name)
            elif entry.is_file(follow_symlinks=False) and not is_temporary_name(name):
                yield name


def is_log(name: str) -> bool:
    """Whether the file only grows, so that a look brings what is new of it. A script's files are its own matter."""
    return name.endswith((".jsonl", ".csv", ".log")) and "/files/" not in name


@lru_cache(maxsize=1000)
def _log_stranger(name: str, problem: str) -> None:
    """Once: it is met at each look."""
    log.error("%s is set aside: a file of the bucket stands where a folder has to be: %s", name, problem)


def _was_brought(known: Known | None) -> bool:
    return known is not None and known.is_here


def _is_same(entry: Entry, known: Known | None) -> bool:
    return known is not None and (known.size, known.version) == (entry.size, entry.version)
