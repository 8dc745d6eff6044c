"""The steps of a copy: check, transfer, check again, and then make it a volume."""

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from shared.copying.places import check_apart, check_idle, check_target, is_of_volume, list_files, read_volume_id
from shared.copying.problems import CopyFailed
from shared.copying.record import CopiedFile, CopyRecord
from shared.store.bucket import BucketStore
from shared.store.interface import Entry, Store
from shared.store.keys import encode_name
from shared.store.trial import try_bucket
from shared.volume_identity import MARKER_FILE

_AT_ONCE = 16
_PIECE_BYTES = 8 * 1024**2
# What a killed copy repeats.
_BATCH_FILES, _BATCH_BYTES = 256, 1024**3
_TOLD_SECONDS = 0.25


@dataclass(frozen=True)
class Progress:
    """How much of a copy is done: files and bytes, including those that an earlier command has copied."""

    files: int
    of_files: int
    bytes: int
    of_bytes: int


def copy_volume(source: Store, target: Store, report: Callable[[Progress], None]) -> Progress:
    """Copy the unused volume at `source` to `target`, or continue an earlier copy.

    Every file is read back and compared by its hash. Raises CopyRefused if nothing was started, CopyFailed if the same
    call can continue, StoreError and OSError if a store fails, and Overtaken if two copies have one target.
    """
    check_apart(source, target)
    volume = read_volume_id(source)
    check_target(target)
    check_idle(source)
    if isinstance(target, BucketStore):
        try_bucket(target, rounds=1)
    record = CopyRecord.begin(target, volume)
    files = list_files(source)
    transfer = _Transfer(source, target, record, files, report)
    transfer.run()
    _remove_others(target, files)
    _check_unchanged(source, files)
    _check_whole(target, files)
    transfer.copy_marker()
    if target.keeps_times:
        record.remove()
    return transfer.progress()


class _Transfer:
    """Copies the missing files into the target, several at once."""

    def __init__(
        self,
        source: Store,
        target: Store,
        record: CopyRecord,
        files: Sequence[Entry],
        report: Callable[[Progress], None],
    ) -> None:
        self._source, self._target, self._record, self._report = source, target, record, report
        # The record of an earlier copy into the source.
        self._origin = CopyRecord(source)
        self._marker = next(entry for entry in files if entry.name == MARKER_FILE)
        sizes = {entry.name: entry.size for entry in target.list()}
        self._left = [entry for entry in files if entry != self._marker and not self._is_done(entry, sizes)]
        self._of_files, self._of_bytes = len(files), sum(entry.size for entry in files)
        self._files = self._of_files - len(self._left) - 1
        self._bytes = self._of_bytes - sum(entry.size for entry in self._left) - self._marker.size
        self._counting = threading.Lock()

    def run(self) -> None:
        """Copy the remaining files. Verified files are recorded even if another one fails."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for batch in _batches(self._left):
                futures = [pool.submit(self._copy, entry) for entry in batch]
                try:
                    self._wait(futures)
                finally:
                    for future in futures:
                        future.cancel()
                    wait(futures)
                    done = [one for one in futures if not one.cancelled() and one.exception() is None]
                    self._record.add([future.result() for future in done])
                for future in futures:
                    future.result()

    def copy_marker(self) -> None:
        """Make the target a volume."""
        # Recorded first, since a bucket with its marker is whole.
        self._record.add([self._describe(self._marker, _hash(self._source, self._marker))])
        self._copy(self._marker)
        self._report(self.progress())

    def progress(self) -> Progress:
        with self._counting:
            return Progress(self._files, self._of_files, self._bytes, self._of_bytes)

    def _is_done(self, entry: Entry, sizes: dict[str, int]) -> bool:
        copied = self._record.find(entry.name)
        return copied is not None and copied.version == entry.version and sizes.get(entry.name) == entry.size

    def _wait(self, futures: Sequence[Future[CopiedFile]]) -> None:
        """Wait until all are done or one has failed."""
        left = set(futures)
        while left:
            done, left = wait(left, timeout=_TOLD_SECONDS, return_when=FIRST_EXCEPTION)
            self._report(self.progress())
            if any(future.exception() for future in done):
                return

    def _copy(self, entry: Entry) -> CopiedFile:
        digest = hashlib.sha256()
        self._target.replace(entry.name, self._read(entry, digest.update), self._moment_of(entry))
        sha256 = digest.hexdigest()
        origin = self._origin.find(entry.name)
        if origin is not None and origin.sha256 != sha256:
            raise CopyFailed(
                f"{entry.name!r} is damaged in {self._source.place}: its hash differs from the recorded one"
            )
        if _hash(self._target, entry) != sha256:
            raise CopyFailed(f"{entry.name!r} was read back from {self._target.place} with other bytes than written")
        with self._counting:
            self._files += 1
        return self._describe(entry, sha256)

    def _describe(self, entry: Entry, sha256: str) -> CopiedFile:
        return CopiedFile(
            key=encode_name(entry.name),
            size=entry.size,
            sha256=sha256,
            modified_ns=self._moment_of(entry),
            version=entry.version,
        )

    def _moment_of(self, entry: Entry) -> int:
        """When the file was written, from a bucket's record if it has one, since objects have times of their own."""
        origin = self._origin.find(entry.name)
        return origin.modified_ns if origin else entry.modified_ns

    def _read(self, entry: Entry, look: Callable[[bytes], None]) -> Iterator[bytes]:
        for piece in _pieces(self._source, entry):
            look(piece)
            with self._counting:
                self._bytes += len(piece)
            yield piece


def _pieces(store: Store, entry: Entry) -> Iterator[bytes]:
    """Yield a file, as long as the list said. Raises CopyFailed if it has become shorter or is gone."""
    start = 0
    while start < entry.size:
        try:
            piece = store.read_range(entry.name, start, min(_PIECE_BYTES, entry.size - start))
        except FileNotFoundError:
            piece = b""
        if not piece:
            raise CopyFailed(f"{entry.name!r} has changed in {store.place} meanwhile; stop what uses it")
        start += len(piece)
        yield piece


def _hash(store: Store, entry: Entry) -> str:
    digest = hashlib.sha256()
    for piece in _pieces(store, entry):
        digest.update(piece)
    return digest.hexdigest()


def _batches(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    batch: list[Entry] = []
    for entry in entries:
        batch.append(entry)
        if len(batch) == _BATCH_FILES or sum(one.size for one in batch) >= _BATCH_BYTES:
            yield batch
            batch = []
    yield batch


def _remove_others(target: Store, files: Sequence[Entry]) -> None:
    """Remove files of an earlier command that the source no longer has, or that are incomplete."""
    target.remove_leftovers()
    names = {entry.name for entry in files}
    for entry in list(target.list()):
        if entry.name not in names and is_of_volume(entry.name):
            target.remove(entry.name)


def _check_unchanged(source: Store, files: Sequence[Entry]) -> None:
    """Raise CopyFailed if the source has changed since the copy started."""
    changed = sorted({entry.name for entry in set(files) ^ set(list_files(source))})
    if changed:
        raise CopyFailed(
            f"{source.place} was changed while it was copied ({len(changed)} files, first {changed[0]!r}); stop what "
            "uses it, and then repeat the command to copy the changes"
        )


def _check_whole(target: Store, files: Sequence[Entry]) -> None:
    """Raise CopyFailed if the target's list lacks a file or has it with another size."""
    found = {(entry.name, entry.size) for entry in target.list()}
    missing = [entry.name for entry in files if (entry.name, entry.size) not in found and entry.name != MARKER_FILE]
    if missing:
        raise CopyFailed(f"{target.place} lacks {len(missing)} files that were written, first {missing[0]!r}")
