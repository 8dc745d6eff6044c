"""The files of a bucket that are on this machine: brought, kept current, and removed when they are gone."""

import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from pathlib import Path

from shared.durable import TEMPORARY_SUFFIX
from shared.mirror.known import Known, KnownFiles
from shared.mirror.names import document_of, order_of, unit_of
from shared.store.bucket import SMALL_BYTES
from shared.store.interface import Entry, Store

# A larger file is brought when somebody opens it.
_EAGER_BYTES = 1024**2

Eager = Callable[[Entry], bool]


def for_readers(entry: Entry) -> bool:
    """What the API has here at all times: everything but large files. Of a log each look brings what is new."""
    return entry.size <= _EAGER_BYTES or is_log(entry.name)


def for_workers(entry: Entry) -> bool:
    """What a worker has here of all that it looks at: documents, by which jobs and sweeps are decided."""
    name = entry.name
    is_of_run = "/attempts/" in name and (not name.endswith(".json") or "/files/" in name or "/checkpoints/" in name)
    is_content = document_of(unit_of(name) or "") is not None and not name.endswith(".json")
    return entry.size <= _EAGER_BYTES and not (is_of_run or is_content) and not name.endswith((".keras", ".jsonl"))


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
        self._one_log_at_a_time = threading.Lock()
        self._store = store
        self._known = known
        self._pool = pool

    def bring(self, folder: str) -> None:
        """Bring all that the bucket has below a folder, large files too. Raises StoreError, OSError."""
        known = self._known.below(folder)
        entries = [entry for entry in self._store.list(folder) if not self.is_own(entry.name)]
        self.bring_entries(entry for entry in entries if not self._is_here(entry, known.get(entry.name)))

    def sync(self, unit: str, listed: Iterable[Entry], *, with_logs: bool = False) -> None:
        """Make a unit what the bucket's is, but for what is brought later and what is our own.

        Raises StoreError, OSError.
        """
        entries = [entry for entry in listed if not self.is_own(entry.name) and (unit_of(entry.name) or "") == unit]
        document = document_of(unit)
        if document and not any(entry.name == document for entry in entries):
            # Somebody uploads it, or was killed while doing so.
            entries = []
        known = {name: one for name, one in self._known.below(unit).items() if (unit_of(name) or "") == unit}
        wanted = {entry for entry in entries if self._eager(entry) or (with_logs and is_log(entry.name))}
        later = [entry for entry in set(entries) - wanted if not _is_same(entry, known.get(entry.name))]
        self._known.put((entry.name, Known(entry.size, entry.version, is_here=False)) for entry in later)
        for entry in later:
            (self.root / entry.name).unlink(missing_ok=True)
        self.bring_entries(entry for entry in wanted if not self._is_here(entry, known.get(entry.name)))
        self._remove_gone(unit, known.keys() - {entry.name for entry in entries})

    def drop(self, unit: str) -> None:
        """Forget a unit that this machine does not need any more."""
        known = self._known.below(unit)
        if known and not any(own == unit or own.startswith(f"{unit}/") for own in self.own):
            self._known.forget(known)
            shutil.rmtree(self.root / unit, ignore_errors=True)

    def bring_entries(self, entries: Iterable[Entry]) -> None:
        """Bring these files, a sign after what it stands for."""
        waiting = sorted(entries, key=lambda entry: order_of(entry.name))
        ordinary = [entry for entry in waiting if not order_of(entry.name)[3]]
        list(self._pool.map(self.bring_file, ordinary))
        for entry in waiting:
            if order_of(entry.name)[3]:
                self.bring_file(entry)

    def put(self, name: str, pieces: Iterable[bytes], modified_ns: int | None = None) -> None:
        """Put a file into the folder, whole; it need not survive a power cut."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name[:200]}.{secrets.token_hex(6)}{TEMPORARY_SUFFIX}")
        try:
            with beside.open("xb") as file:
                for piece in pieces:
                    file.write(piece)
            if modified_ns is not None:
                os.utime(beside, ns=(modified_ns, modified_ns))
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)

    def is_own(self, name: str) -> bool:
        """Whether this machine alone writes the file at the moment. Who ended an attempt may be another one."""
        return not name.endswith("/end.json") and any(name == one or name.startswith(f"{one}/") for one in self.own)

    def _remove_gone(self, unit: str, gone: Iterable[str]) -> None:
        names = sorted((name for name in gone if not self.is_own(name)), key=order_of, reverse=True)
        for name in names:
            self._remove(name)
        self._known.forget(names)
        if f"{unit}/spec.json" in names:
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

    def _is_here(self, entry: Entry, known: Known | None) -> bool:
        return known == Known(entry.size, entry.version, is_here=True) and (self.root / entry.name).exists()

    def bring_file(self, entry: Entry) -> None:
        """Bring one file; nothing happens where it was removed since the list."""
        # Two looks at one log must not both append what is new.
        with self._one_log_at_a_time if is_log(entry.name) else nullcontext(), suppress(FileNotFoundError):
            if not self._append_to_log(entry):
                self.put(entry.name, self._pieces(entry), entry.modified_ns)
            self._known.put([(entry.name, Known(entry.size, entry.version, is_here=True))])

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

    def _append_to_log(self, entry: Entry) -> bool:
        """Append what a log has more than the folder's; False where it has to be brought whole."""
        known, path = self._known.find(entry.name), self.root / entry.name
        if not is_log(entry.name) or known is None or not known.is_here or not path.exists():
            return False
        if not path.stat().st_size == known.size < entry.size:
            return False
        grown = self._store.read_range(entry.name, known.size, entry.size - known.size)
        with path.open("ab") as file:
            file.write(grown)
        os.utime(path, ns=(entry.modified_ns, entry.modified_ns))
        return True


def is_log(name: str) -> bool:
    """Whether the file only grows, so that a look brings what is new of it. A script's files are its own matter."""
    return name.endswith((".jsonl", ".csv", ".log")) and "/files/" not in name


def _is_same(entry: Entry, known: Known | None) -> bool:
    return known is not None and (known.size, known.version) == (entry.size, entry.version)
