"""The jobs that the sender looks at. A job is settled when its end is in the queues of all webhooks that ask for it.

A job is found by the name of its folder, as in the index (`api.state.index`): a shard of `jobs/` is listed only if it
and `open/` have changed. Each look covers the jobs that have just ended, the running ones, and 200 of the others in
turn.

`settled` has one job's id per line. It is written again at the start, without deleted jobs.
"""

import logging
import os
import time
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from api.state.index import LastChange
from api.webhooks.facts import Fact, facts_of
from shared.document import UnusableDocument
from shared.durable import replace_file
from shared.ids import is_job_id
from shared.stamps import Stamp, file_stamp
from shared.volume import Volume

_MOST_IN_TURN = 200
# Running jobs are looked at in this interval, since a budget is used up without a change of any file.
_BUDGET_SECONDS = 5

_Signature = tuple[Stamp | None, int, Stamp | None, int]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Seen:
    """The result of a look at a job."""

    job_id: str
    facts: list[Fact]
    is_over: bool


class Watch:
    """The jobs of a volume that are not settled. Raises OSError if a folder cannot be read or written."""

    def __init__(self, volume: Volume, folder: Path) -> None:
        self._volume = volume
        self._file = folder / "settled"
        there = volume.job_ids()
        known = self._file.read_text().split("\n") if self._file.exists() else []
        self._settled = set(there).intersection(known)
        replace_file(self._file, _lines(sorted(self._settled)))
        self._unsettled: set[str] = set()
        self._signatures: dict[str, _Signature] = {}
        self._open = LastChange(-1, 0.0)
        self._shards: dict[str, LastChange] = {}
        self._last_in_turn = ""

    def is_settled(self, job_id: str) -> bool:
        """Whether the sender no longer looks at the job. A deleted job is settled."""
        return job_id not in self._unsettled

    def look(self, since_ns: int) -> list[Seen]:
        """Look at the jobs whose turn it is. `since_ns`: no webhook asks for earlier events."""
        marked = {marker.job_id for marker in self._volume.open_jobs()}
        self._find_new(marked)
        found = [self._look_at(job_id, since_ns) for job_id in self._in_turn(marked)]
        return [one for one in found if one is not None]

    def settle(self, job_ids: Iterable[str]) -> None:
        """Store that these jobs are settled: they are not looked at again."""
        settled = sorted(set(job_ids) & self._unsettled)
        if not settled:
            return
        with self._file.open("ab") as file:
            file.write(_lines(settled))
            file.flush()
            os.fsync(file.fileno())
        self._settled.update(settled)
        for job_id in settled:
            self._forget(job_id)

    def _find_new(self, marked: set[str]) -> None:
        """Find new jobs. The start and the end of a job change `open/`. A job may be stored after its marker."""
        self._unsettled |= marked - self._settled
        changed = self._volume.open.stat().st_mtime_ns
        if self._open.changed != changed:
            self._open = LastChange(changed, time.monotonic())
        elif self._open.is_settled:
            return
        for shard in os.scandir(self._volume.jobs):
            if shard.is_dir(follow_symlinks=False):
                self._read_if_changed(shard)
        self._open.settle()

    def _read_if_changed(self, shard: "os.DirEntry[str]") -> None:
        changed = shard.stat(follow_symlinks=False).st_mtime_ns
        seen = self._shards.get(shard.name)
        if seen is None or seen.changed != changed:
            seen = self._shards[shard.name] = LastChange(changed, time.monotonic())
        elif seen.is_settled:
            return
        names = [one.name for one in os.scandir(shard.path)]
        self._unsettled.update(name for name in names if is_job_id(name) and name not in self._settled)
        seen.settle()

    def _in_turn(self, marked: set[str]) -> list[str]:
        # A job's marker is removed only after its result is stored.
        urgent = (self._unsettled - marked) | (self._signatures.keys() & self._unsettled)
        others = sorted(self._unsettled - urgent)
        begin = bisect_right(others, self._last_in_turn)
        chosen = (others[begin:] + others[:begin])[:_MOST_IN_TURN]
        self._last_in_turn = chosen[-1] if chosen else ""
        return [*sorted(urgent), *chosen]

    def _look_at(self, job_id: str, since_ns: int) -> Seen | None:
        folder = self._volume.job_folder(job_id)
        try:
            result = file_stamp(folder.result_file)
            if result is not None and result[-1] < since_ns:
                return Seen(job_id, [], is_over=True)
            if not self._has_changed(job_id, result):
                return None
            found = facts_of(folder)
        except UnusableDocument as error:
            _log_once(f"{job_id} is skipped: {error}")
            return None
        except FileNotFoundError:
            found = None
        if found is None:
            if not folder.path.exists():
                self._forget(job_id)
            return None
        return Seen(job_id, *found)

    def _has_changed(self, job_id: str, result: Stamp | None) -> bool:
        """Whether a look can find something new. Stores the signatures of jobs with attempts."""
        folder = self._volume.job_folder(job_id)
        attempts = folder.attempts()
        if not attempts:  # there is no event, unless it was cancelled or deleted
            return result is not None or not folder.path.exists()
        newest = attempts[-1]
        clock = int(time.monotonic() / _BUDGET_SECONDS)
        signature = (result, newest.number, file_stamp(newest.end_file), clock)
        before, self._signatures[job_id] = self._signatures.get(job_id), signature
        return signature != before

    def _forget(self, job_id: str) -> None:
        self._unsettled.discard(job_id)
        self._signatures.pop(job_id, None)


@lru_cache(maxsize=1000)
def _log_once(problem: str) -> None:
    """Log a problem once, not at each look."""
    log.warning("%s", problem)


def _lines(names: Iterable[str]) -> bytes:
    return "".join(f"{name}\n" for name in names).encode()
