"""The local files of a bucket: downloaded, kept current, and removed when the bucket no longer has them."""

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
# Number of tries for a file that others replace meanwhile.
_TRIES = 3
# A larger file is downloaded when it is opened.
_EAGER_BYTES = 1024**2

Eager = Callable[[Entry], bool]

log = logging.getLogger(__name__)


def for_readers(entry: Entry) -> bool:
    """Whether a look of the API downloads the file: any except large ones, and of a log the new part."""
    return entry.size <= _EAGER_BYTES or is_log(entry.name)


def for_workers(entry: Entry) -> bool:
    """Whether a look of a worker downloads the file: documents that decide about jobs and sweeps."""
    name = entry.name
    is_of_run = "/attempts/" in name and (not name.endswith(".json") or "/files/" in name or "/checkpoints/" in name)
    is_data = is_content(unit_of(name) or "") and not name.endswith(".json")
    return entry.size <= _EAGER_BYTES and not (is_of_run or is_data) and not name.endswith((".keras", ".jsonl"))


class LocalFolder:
    """The folder at `root`. `own`: the folders and files in it that only this machine writes at the moment.

    `eager` says which files a look downloads; the others are downloaded when they are opened.
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
        """Download all files below a folder, including large ones. Raises StoreError, OSError.

        Removes what an attempt of another process left on this machine and never uploaded: no attempt resumes from it.
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
        """Download a file that the bucket has. False if neither the bucket nor the folder has it."""
        for _ in range(_TRIES):
            known = self._known.find(name)
            if known is None or known.is_here:
                break
            if self._bring_file(Entry(name, known.size, time.time_ns(), known.version), known):
                return True
        return (self.root / name).exists()

    def sync(self, unit: str, *, with_logs: bool = False) -> None:
        """Make a unit equal to the bucket's, except files that are downloaded later and our own files.

        `with_logs`: also download logs, and remove what an attempt never uploaded. Raises StoreError, OSError.
        """
        known, entries = self._known.below(unit), list(self._store.list(unit))
        if with_logs:
            # The caller decides by the unit: files that the bucket lacks do not count.
            self._remove_strays(unit, {entry.name for entry in entries}, known)
        self.sync_listed(unit, entries, known, with_logs=with_logs)

    def sync_listed(
        self, unit: str, listed: Iterable[Entry], known: Mapping[str, Known], *, with_logs: bool = False
    ) -> None:
        """`sync` with an existing list; `known` is what was known before the list was made."""
        entries = [entry for entry in listed if not self.is_own(entry.name) and (unit_of(entry.name) or "") == unit]
        document = document_of(unit)
        if document and not any(entry.name == document for entry in entries):
            # Its upload is not finished, or was killed.
            entries = []
        known = {name: one for name, one in known.items() if (unit_of(name) or "") == unit}
        # A log that was downloaded once is kept current, since the end of an attempt counts its bytes.
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
        """Remove a unit that this machine no longer needs."""
        known = self._known.below(unit) if "/" in unit else {}
        if known and not any(own == unit or own.startswith(f"{unit}/") for own in self.own):
            self._known.forget(known)
            shutil.rmtree(self.root / unit, ignore_errors=True)

    def _bring_entries(self, entries: Iterable[Entry], known: Mapping[str, Known]) -> bool:
        """Download these files, each sign after what it stands for. False if one has changed meanwhile."""
        waiting = sorted(entries, key=lambda entry: order_of(entry.name))
        ordinary = [entry for entry in waiting if not order_of(entry.name)[3]]
        signs = [entry for entry in waiting if order_of(entry.name)[3]]
        brought = list(self._pool.map(lambda entry: self._bring_file(entry, known.get(entry.name)), ordinary))
        return all([*brought, *(self._bring_file(entry, known.get(entry.name)) for entry in signs)])

    def put(self, name: str, pieces: Iterable[bytes]) -> None:
        """Write a whole file into the folder; it need not survive a power cut."""
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
        """Whether only this machine writes the file at the moment. Another one may write the end of an attempt."""
        return not name.endswith("/end.json") and any(name == one or name.startswith(f"{one}/") for one in self.own)

    def _remove_gone(self, unit: str, gone: Mapping[str, Known]) -> None:
        for name in sorted(gone, key=order_of, reverse=True):
            self._known.change(name, gone[name], None, partial(self._remove, name))
        if f"{unit}/spec.json" in gone:
            shutil.rmtree(self.root / unit, ignore_errors=True)

    def _remove(self, name: str) -> None:
        """Remove a file and the folders above it that become empty, except the volume's own folders."""
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
        """Download one file; `known` is what was known before the list. Nothing happens if the file is gone since.

        False if it was replaced meanwhile, or another version was downloaded or removed here.
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
        """Raises FileExistsError if an attempt that began after the list has decided the file here."""
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
        """Files below a folder that the bucket has and this machine has not downloaded: bytes by name in the folder."""
        known = self._known.below(folder)
        return {name.removeprefix(f"{folder}/"): one.size for name, one in known.items() if not one.is_here}

    def _append_to_log(self, entry: Entry, known: Known | None) -> bool | None:
        """Append the new part of a log; None if the whole log must be downloaded, else as `_bring_file`."""
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
    """The names of the regular files below a folder, relative to it; none if it does not exist."""
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
    """Whether the file only grows, so that a look downloads its new part. Not for the files of a script."""
    return name.endswith((".jsonl", ".csv", ".log")) and "/files/" not in name


@lru_cache(maxsize=1000)
def _log_stranger(name: str, problem: str) -> None:
    """Log it once, since each look meets it."""
    log.error("%s is set aside: a file of the bucket stands where a folder has to be: %s", name, problem)


def _was_brought(known: Known | None) -> bool:
    return known is not None and known.is_here


def _is_same(entry: Entry, known: Known | None) -> bool:
    return known is not None and (known.size, known.version) == (entry.size, entry.version)
