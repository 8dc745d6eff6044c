"""The use of a project's quotas: bytes on the volume, and the compute time and cost of this month.

spent/<month>/<project>/<job id>.json   the use of a deleted job in that month; earlier months are removed

An attempt counts in the month (UTC) in which it was claimed. Finished jobs are read once. The sums are computed in a
thread and may be a few seconds old: a request waits for a new sum for a second, and then uses the last one.
"""

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from cachetools import LRUCache

from api.state.index import IndexNotReady, JobIndex
from api.state.index_file import OPEN, Wanted
from api.state.locked_cache import LockedCache
from api.state.partial_uploads import all_uploads
from shared.dataset import DatasetInfo
from shared.document import Document, UnusableDocument, read_document
from shared.durable import create_file, encode, make_folder
from shared.held import held_by, held_so_far
from shared.ids import is_job_id
from shared.job import TERMINAL
from shared.job_folder import JobFolder
from shared.ledger import money
from shared.program import LatestVersion
from shared.times import utc_now
from shared.volume import Volume
from shared.weights import WeightsInfo

FRESH_SECONDS = 10.0
_WAIT_SECONDS = 1.0
_MOST_KEPT = 50_000


class Spent(Document):
    """`spent/<month>/<project>/<job id>.json`, and a sum of it. `cost` is in the currency of the API."""

    gpu_seconds: float = 0.0
    cost: float = 0.0

    def plus(self, other: "Spent") -> "Spent":
        return Spent(gpu_seconds=self.gpu_seconds + other.gpu_seconds, cost=self.cost + other.cost)


@dataclass
class _Sum:
    """The last value of a sum, and the computation of the next one."""

    value: Any = None
    made_at: float = float("-inf")
    coming: "Future[Any] | None" = None


class ProjectUsage:
    """The usage of all projects. `spent` is the folder for the use of deleted jobs."""

    def __init__(self, volume: Volume, index: JobIndex, spent: Path, currency: str) -> None:
        self._volume = volume
        self._folder = spent
        self._index = index
        self._currency = currency
        self._lock = threading.Lock()
        self._thread = ThreadPoolExecutor(1, "project-usage")
        self._sums: dict[tuple[str, str], _Sum] = {}
        self._bytes: LockedCache[str, int] = LockedCache(LRUCache(_MOST_KEPT))
        self._spent: LockedCache[tuple[str, str], Spent] = LockedCache(LRUCache(_MOST_KEPT))

    def bytes(self, project: str) -> int:
        """The bytes of the project's datasets, uploads, weights, programs and jobs; 0 until they are known."""
        return self._sum("bytes", project) or 0

    def spent(self, project: str) -> Spent:
        """The compute time and cost of the project's jobs in this month (UTC); zero until they are summed."""
        return self._sum("spent", project) or Spent()

    def is_known(self, project: str) -> bool:
        """Whether both sums have been computed; until then they are zero."""
        return all(self._sum(kind, project) is not None for kind in ("bytes", "spent"))

    def forget(self, project: str) -> None:
        """Compute the sums of the project again at the next call."""
        with self._lock:
            for kind in ("bytes", "spent"):
                known = self._sums.setdefault((kind, project), _Sum())
                # A running computation may have missed the change.
                known.made_at, known.coming = float("-inf"), None

    def keep_spent(self, project: str, job: JobFolder) -> None:
        """Record what a job has spent in this month, before it is deleted."""
        month = utc_now()[:7]
        spent = self._spent_by(job, month)
        if not spent.gpu_seconds:
            return
        for old in self._folder.iterdir() if self._folder.is_dir() else ():
            if old.name < month:
                shutil.rmtree(old, ignore_errors=True)
        make_folder(self._folder / month / project)
        create_file(self._folder / month / project / f"{job.id}.json", encode(spent.model_dump(mode="json")))

    def _sum(self, kind: str, project: str) -> Any:
        make = self._sum_bytes if kind == "bytes" else self._sum_spent
        with self._lock:
            known = self._sums.setdefault((kind, project), _Sum())
            if time.monotonic() - known.made_at < FRESH_SECONDS:
                return known.value
            if known.coming is None or known.coming.done():
                known.coming = self._thread.submit(make, project)
            coming = known.coming
        began = time.monotonic()
        try:
            value = coming.result(_WAIT_SECONDS)
        except (TimeoutError, IndexNotReady, OSError):
            return known.value
        with self._lock:
            known.value, known.made_at = value, began
        return value

    def _sum_bytes(self, project: str) -> int:
        datasets = (
            _size(self._volume.dataset_folder(dataset_id))
            for dataset_id in self._volume.dataset_ids()
            if self._is_of(project, partial(self._volume.dataset, dataset_id))
        )
        # Their whole length counts: an upload that was admitted must fit.
        coming = sum(one.info.length for one in all_uploads(self._volume.datasets) if one.info.project == project)
        store = self._volume.weights
        weights = (_size(store.place(one)) for one in store.ids() if self._is_of(project, partial(store.find, one)))
        found = self._volume.programs
        programs = (_size(found.place(one)) for one in found.ids() if self._is_of(project, partial(found.latest, one)))
        jobs = self._index.ids(Wanted(project=project))
        return (
            coming
            + sum(datasets)
            + sum(weights)
            + sum(programs)
            + sum(self._bytes_of(self._volume.job_folder(job.id)) for job in jobs)
        )

    def _is_of(self, project: str, read: Callable[[], DatasetInfo | WeightsInfo | LatestVersion | None]) -> bool:
        try:
            info = read()
        except UnusableDocument:
            return False
        return info is not None and info.project == project

    def _bytes_of(self, job: JobFolder) -> int:
        known = self._bytes.find(job.id)
        if known is not None and job.result_file.exists():
            return known
        is_over = job.result_file.exists()
        size = _size(job.path)
        return self._bytes.keep(job.id, size) if is_over else size

    def _sum_spent(self, project: str) -> Spent:
        month = utc_now()[:7]
        total = Spent()
        for job in self._jobs_of(project, month):
            total = total.plus(self._spent_by(job, month))
        for spent in self._spent_by_deleted(project, month):
            total = total.plus(spent)
        return total

    def _jobs_of(self, project: str, month: str) -> Iterator[JobFolder]:
        """The jobs of the project that may have spent something in the month."""
        for marker in self._volume.open_jobs():
            if marker.project == project:
                yield self._volume.job_folder(marker.job_id)
        over = Wanted(project=project, statuses=TERMINAL, finished_after=month)
        for found in self._index.ids(over):
            if found.status != OPEN:
                yield self._volume.job_folder(found.id)

    def _spent_by(self, job: JobFolder, month: str) -> Spent:
        is_over = job.result_file.exists()
        known = self._spent.find((job.id, month)) if is_over else None
        if known is not None:
            return known
        try:
            spent = self._count(job, month)
        except (UnusableDocument, FileNotFoundError):
            # Damaged, so that no worker trains it, or deleted a moment ago.
            return Spent()
        return self._spent.keep((job.id, month), spent) if is_over else spent

    def _count(self, job: JobFolder, month: str) -> Spent:
        total = Spent()
        for attempt in job.attempts():
            claim, end = attempt.claim(), attempt.end()
            if claim is None or claim.claimed_at[:7] != month:
                continue
            held = held_so_far(attempt, claim) if end is None else held_by(attempt, claim, end)
            price = claim.gpu_price_per_hour if claim.currency == self._currency else None
            total = total.plus(Spent(gpu_seconds=held * claim.devices / 1e6, cost=money(held, price or 0.0)))
        return total

    def _spent_by_deleted(self, project: str, month: str) -> Iterator[Spent]:
        for file in (self._folder / month / project).glob("*.json"):
            if not is_job_id(file.stem) or self._volume.job(file.stem) is not None:
                continue
            try:
                spent = read_document(file, Spent)
            except UnusableDocument:
                continue
            if spent is not None:
                yield spent


def _size(folder: Path) -> int:
    """The bytes of all files below a folder, without folders that cannot be read."""
    # Not os.walk: in Python 3.11 it recurses, and the script of a user may nest folders to any depth.
    total, pending = 0, [os.fspath(folder)]
    while pending:
        with suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                else:
                    total += _bytes(entry)
    return total


def _bytes(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0
