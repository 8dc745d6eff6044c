"""Looks at the bucket every few seconds, and downloads into the folder what others have changed.

A look makes two lists: of the markers of open jobs, which show new and ended jobs, and of the hints. Only the units
that they name are listed then. The first look, and one every few minutes, lists everything: it finds what a killed
process did not hint at.
"""

import fcntl
import logging
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import groupby
from pathlib import Path

from shared.mirror.known import Known
from shared.mirror.mirror import Mirror
from shared.mirror.names import CHANGED, OPEN, RESERVED, document_of, is_content, is_of_volume, unit_of
from shared.store.interface import Entry, StoreError
from shared.store.trial import TRIAL_FOLDER

_EVERYTHING_SECONDS = 600.0
# Every reader looks at everything long before a hint is removed.
_HINT_SECONDS = 6 * _EVERYTHING_SECONDS
# No upload of one file takes this long.
_UNFINISHED_SECONDS = 3600.0

_RANK_OF_OTHERS = 2

Wants = Callable[[str, frozenset[str]], bool]

log = logging.getLogger(__name__)


def everything(_unit: str, _open_jobs: frozenset[str]) -> bool:
    """Whether the API needs a unit: always."""
    return True


class Puller:
    """The looks of one process. `wants` decides whether this machine needs a unit, given the ids of the open jobs.

    If several processes share one folder, only one of them looks; the others send their hints.
    """

    def __init__(self, mirror: Mirror, wants: Wants = everything, always: tuple[str, ...] = ("workers",)) -> None:
        self._mirror = mirror
        self._wants = wants
        self._always = always
        self._seen: dict[str, str] = {}
        self._next_everything = 0.0
        self._turn: int | None = None
        self._away = mirror.root.with_name(f"{mirror.root.name}.away")
        self._shared: str | None = None
        # Called with the ids of new open jobs.
        self.tell: Callable[[list[str]], object] = lambda _: None

    def look(self) -> bool:
        """Look once. False if the bucket failed; `Mirror.check` raises from then on."""
        trouble = self._find_trouble()
        if trouble and not self._mirror.trouble:
            log.warning("the bucket is away: %s", trouble)
        elif self._mirror.trouble and not trouble:
            log.warning("the bucket answers again")
        self._mirror.trouble = trouble
        return not trouble

    def _find_trouble(self) -> str:
        """Look, or read the result of the process that looks. Returns why it failed; empty if it did not."""
        try:
            self._mirror.send_hints()
            if not self._has_turn():
                return self._shared_trouble()
            self._look()
        except (StoreError, OSError) as error:
            self._share_trouble(str(error))
            return str(error)
        self._share_trouble("")
        return ""

    def _shared_trouble(self) -> str:
        try:
            return self._away.read_text()
        except FileNotFoundError:
            return ""

    def _share_trouble(self, trouble: str) -> None:
        """Share the trouble with processes that do not look. The first look replaces what a killed process left."""
        if self._turn is None or trouble == self._shared:
            return
        with suppress(OSError):
            if trouble:
                self._away.write_text(trouble)
            else:
                self._away.unlink(missing_ok=True)
            self._shared = trouble

    def look_at(self, *units: str) -> None:
        """Download what has changed in these units now. Raises StoreError, OSError."""
        self._for_each(units, self._mirror.folder.sync)

    def _look(self) -> None:
        before = self._local_markers()
        hints = {entry.name.partition("/")[2]: entry for entry in self._mirror.store.list(CHANGED)}
        if time.monotonic() >= self._next_everything:
            markers = self._look_at_everything()
            self._next_everything = time.monotonic() + _EVERYTHING_SECONDS
        else:
            changed = {unit for unit, entry in hints.items() if self._seen.get(unit) != entry.version}
            markers = self._look_at_changes(changed, before)
        self._seen = {unit: entry.version for unit, entry in hints.items()}
        self._put_markers(markers, before)
        self._remove_old_hints(hints)

    def _look_at_changes(self, changed: set[str], before: set[str]) -> dict[str, Entry]:
        self.look_at(*(unit for unit in changed if _rank(unit) < _RANK_OF_OTHERS))
        markers = self._remote_markers()
        jobs = {_unit_of_marker(name) for name in markers.keys() ^ before}
        open_jobs = _ids(markers)
        others = {unit for unit in changed | jobs if _rank(unit) == _RANK_OF_OTHERS}
        wanted = {unit for unit in others if self._wants(unit, open_jobs)}
        self.look_at(*wanted, *self._always)
        return markers

    def _look_at_everything(self) -> dict[str, Entry]:
        units: dict[str, list[Entry]] = defaultdict(list)
        markers: dict[str, Entry] = {}
        others: list[Entry] = []
        newest = 0
        known: dict[str, dict[str, Known]] = defaultdict(dict)
        for name, one in self._mirror.known.below("").items():
            known[unit_of(name) or ""][name] = one
        for entry in self._mirror.store.list():
            newest = max(newest, entry.modified_ns)
            first, _, rest = entry.name.partition("/")
            if first == OPEN:
                markers[rest] = entry
            elif is_of_volume(entry.name):
                units[unit_of(entry.name) or ""].append(entry)
            else:
                others.append(entry)
        open_jobs = _ids(markers)

        def sync(unit: str) -> None:
            # The volume's own marker belongs to no unit, and every machine needs it.
            if not unit or unit not in units or self._wants(unit, open_jobs):
                self._mirror.folder.sync_listed(unit, units.get(unit, []), known.get(unit, {}))
            else:
                self._mirror.folder.drop(unit)

        self._for_each({*units, *known}, sync)
        for unit, entries in units.items():
            self._remove_unfinished(unit, entries, newest)
        self._remove_trials(others, newest)
        return markers

    def _for_each(self, units: Iterable[str], act: Callable[[str], None]) -> None:
        """Call `act` for the units of a rank concurrently, since each waits for the bucket. Raises the first error."""
        failures: list[StoreError | OSError] = []

        def try_one(unit: str) -> None:
            # After a failure, the other units are skipped.
            if failures:
                return
            try:
                act(unit)
            except (StoreError, OSError) as error:
                failures.append(error)

        for _, same_rank in groupby(sorted(units, key=lambda unit: (_rank(unit), unit)), key=_rank):
            list(self._mirror.pool_of_units.map(try_one, same_rank))
        if failures:
            raise failures[0]

    def _remove_trials(self, entries: list[Entry], newest: int) -> None:
        """Remove what killed trials of the bucket have left, by the bucket's clock alone."""
        for entry in entries:
            if entry.name.startswith(f"{TRIAL_FOLDER}/") and newest - entry.modified_ns > _UNFINISHED_SECONDS * 10**9:
                self._mirror.store.remove(entry.name)

    def _remove_unfinished(self, unit: str, entries: list[Entry], newest: int) -> None:
        """Remove a unit whose upload was killed, by the bucket's clock alone."""
        document = document_of(unit)
        if document is None or any(entry.name == document for entry in entries):
            return
        if newest - max(entry.modified_ns for entry in entries) > _UNFINISHED_SECONDS * 10**9:
            for entry in sorted(entries, key=lambda entry: f"/{RESERVED}" in entry.name):
                self._mirror.store.remove(entry.name)

    def _put_markers(self, markers: dict[str, Entry], before: set[str]) -> None:
        """Update the folder's markers. `before`: those from before the list, so that a newer one stays."""
        new = sorted(markers.keys() - before)
        for name in new:
            self._mirror.folder.put(f"{OPEN}/{name}", [])
        for name in sorted(before - markers.keys()):
            (self._mirror.root / OPEN / name).unlink(missing_ok=True)
        if new:
            self.tell(sorted(_ids(new)))

    def _local_markers(self) -> set[str]:
        folder = self._mirror.root / OPEN
        return (
            {entry.name for entry in os.scandir(folder) if not entry.name.startswith(".")} if folder.is_dir() else set()
        )

    def _remote_markers(self) -> dict[str, Entry]:
        return {entry.name.partition("/")[2]: entry for entry in self._mirror.store.list(OPEN)}

    def _remove_old_hints(self, hints: dict[str, Entry]) -> None:
        newest = max((entry.modified_ns for entry in hints.values()), default=0)
        for unit, entry in hints.items():
            # By the bucket's clock alone.
            if newest - entry.modified_ns > _HINT_SECONDS * 10**9:
                self._mirror.store.remove(f"{CHANGED}/{unit}")

    def _has_turn(self) -> bool:
        """Whether this process has the turn to look; it takes a free turn and keeps it until it ends."""
        if self._turn is None:
            lock = os.open(_lock_file(self._mirror.root), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                return False
            self._turn = lock
        return True


def _rank(unit: str) -> int:
    """The order of looks: the data that trials need, the sweeps that say which jobs a worker needs, the rest."""
    if is_content(unit):
        return 0
    return 1 if unit.startswith("sweeps/") else _RANK_OF_OTHERS


def _lock_file(root: Path) -> Path:
    return root.with_name(f"{root.name}.looking")


def _unit_of_marker(name: str) -> str:
    job_id = name.partition("-")[2].partition(".")[0]
    return f"jobs/{job_id[-2:]}/{job_id}"


def _ids(markers: Iterable[str]) -> frozenset[str]:
    return frozenset(name.partition("-")[2].partition(".")[0] for name in markers)
