"""The shared volume, which holds everything true about datasets, jobs and workers.

fitstop-volume.json            which volume this is (shared.volume_identity)
datasets/<dataset id>/         data.parquet or arrays/, dataset.json
models/<weights id>/           weights.h5, model.json: see shared.weights
programs/<program id>/         latest.json, versions/<version>/: see shared.program
open/<priority>-<job id>       a marker while the job has no result: its name gives the order of the queue; its content,
                               usually the spec, is not read. `.<project>` follows, except for the project `default`
annotated/<job id>.<number>    an empty file for each job with tags or a note: see shared.annotations
turns/<number>.<project>       the turns of the projects (shared.turns)
sweeps/<sweep id>/             see shared.sweep.folder
jobs/<aa>/<job id>/            see shared.job_folder; <aa> are the last two characters of the id
deleted/                       folders that are being removed, moved here whole, and the ids of what was deleted
workers/<worker>.json          the last card of each worker; only for people to read
"""

import json
import logging
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from shared.annotations import remove_markers
from shared.dataset import DatasetInfo
from shared.document import UnusableDocument, read_document
from shared.durable import (
    add_name,
    create_file,
    encode,
    make_folder,
    publish_folder,
    read_bytes,
    remove_file,
    remove_name,
    remove_tree,
    replace_file,
    sync_folder,
)
from shared.ids import age_seconds, is_dataset_id, is_job_id, is_sweep_id
from shared.job import JobRecord
from shared.job_folder import JobFolder
from shared.mirror.attached import bring, mirror_at, missing_files
from shared.open_job import OpenJob
from shared.plain_files import guard
from shared.problems import FitstopError
from shared.program import ProgramInfo, ProgramStore
from shared.project import DEFAULT_PROJECT
from shared.spec import ProgramJobSpec
from shared.stamps import Stamp, file_stamp
from shared.storage import check_room
from shared.volume_identity import VolumeIdentity
from shared.weights import WeightsStore, weights_of
from shared.worker_card import WorkerCard

# The folder of a dataset of arrays, in place of data.parquet.
ARRAYS = "arrays"
_PIECE_BYTES = 1024**2
# Longer than an Idempotency-Key is kept.
_REMEMBERED_SECONDS = 7 * 24 * 3600.0
# Suffix of a removed dataset's record: its place in the list, for a client between two pages.
_DATASET_GRAVE = ".dataset"

log = logging.getLogger(__name__)


class DatasetOrigin(NamedTuple):
    """Facts of a dataset that are kept for a week after it was removed."""

    created_at: str
    project: str


def _nothing(_folder: JobFolder) -> None:
    """Put nothing into the folder of a new job: most jobs begin with only their spec."""


class Volume:
    """The volume below one folder. Creates the folders that are missing; raises OSError if it cannot."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.datasets = root / "datasets"
        self.open = root / "open"
        self.jobs = root / "jobs"
        self.annotated = root / "annotated"
        self.turns = root / "turns"
        self.workers = root / "workers"
        self.deleted = root / "deleted"
        self.weights = WeightsStore(root)
        self.programs = ProgramStore(root)
        make_folder(root)
        guard(root)
        self.identity = VolumeIdentity(root)
        for folder in (self.datasets, self.open, self.annotated, self.turns, self.jobs, self.workers, self.deleted):
            make_folder(folder)
        # Shards whose names this process has synced to the disk.
        self._safe_shards: set[str] = set()

    # Its state

    def check(self) -> None:
        """Raise OSError if the volume is unavailable or cannot be read. Costs one look at one file."""
        self.identity.check()
        if (mirror := mirror_at(self.root)) is not None:
            mirror.check()

    def check_room(self, least_bytes: int) -> None:
        """Raise OSError (ENOSPC) if the filesystem has less free space. Ignores quotas."""
        check_room(self.root, least_bytes)

    def probe(self, size: int) -> None:
        """Write a file of `size` bytes, sync it and remove it. Raises OSError if that fails."""
        if (mirror := mirror_at(self.root)) is not None:
            mirror.probe(size)
        folder = self.deleted / f"probe-{secrets.token_hex(6)}"
        # Not zeros, which some filesystems do not store.
        piece = os.urandom(_PIECE_BYTES)
        try:
            folder.mkdir()
            replace_file(folder / "probe", *[piece] * (size // _PIECE_BYTES), piece[: size % _PIECE_BYTES])
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    # Datasets

    def dataset_folder(self, dataset_id: str) -> Path:
        """The folder of a dataset. Raises ValueError if the id is not valid."""
        if not is_dataset_id(dataset_id):
            raise ValueError(f"not a dataset's id: {dataset_id!r}")
        return self.datasets / dataset_id

    def data_file(self, dataset_id: str) -> Path:
        return self.dataset_folder(dataset_id) / "data.parquet"

    def has_data(self, dataset_id: str) -> bool:
        """Whether the data of a dataset exists."""
        folder = self.dataset_folder(dataset_id)
        return self.data_file(dataset_id).exists() or (folder / ARRAYS).exists() or bool(missing_files(folder))

    def has_files(self, record: JobRecord) -> bool:
        """Whether the data of a job, its program, and the weights that its model starts from exist."""
        spec = record.spec
        if isinstance(spec, ProgramJobSpec):
            program = self.programs.version_folder(spec.program.id, record.program_version or "")
            return program.exists() and all(map(self.has_data, spec.dataset_ids))
        weights = weights_of(spec)
        return self.has_data(spec.dataset.id) and (weights is None or self.weights.place(weights).exists())

    def bring_files(self, record: JobRecord) -> None:
        """Fetch the files of `has_files` to this machine if the volume is in a bucket. Raises OSError."""
        spec = record.spec
        bring(*map(self.dataset_folder, spec.dataset_ids))
        if isinstance(spec, ProgramJobSpec):
            bring(self.programs.version_folder(spec.program.id, record.program_version or ""))
        elif weights := weights_of(spec):
            bring(self.weights.place(weights))

    def dataset(self, dataset_id: str) -> DatasetInfo | None:
        """The facts of a dataset; None if it does not exist or the id is not valid. Raises UnusableDocument."""
        if not is_dataset_id(dataset_id):
            return None
        return read_document(self.dataset_folder(dataset_id) / "dataset.json", DatasetInfo)

    def dataset_stamp(self, dataset_id: str) -> Stamp | None:
        """A stamp that differs for each dataset uploaded under the same id; None if there is no dataset."""
        if not is_dataset_id(dataset_id):
            return None
        return file_stamp(f"{self.datasets}/{dataset_id}/dataset.json")

    def dataset_ids(self) -> list[str]:
        """The ids of all datasets, sorted."""
        return sorted(entry.name for entry in self.datasets.iterdir() if is_dataset_id(entry.name))

    def publish_dataset(self, prepared: Path, dataset_id: str) -> bool:
        """Make a prepared folder the dataset with that id atomically; False if the id is taken.

        `prepared` is on the volume and its files are fsynced.
        """
        place = self.dataset_folder(dataset_id)
        return publish_folder(self.root, prepared, place, lambda: self.dataset(dataset_id))

    def remove_dataset(self, dataset_id: str) -> bool:
        """Remove a dataset atomically; False if it does not exist."""
        origin = self.dataset_origin(dataset_id)
        if origin is not None:
            grave = {"created_at": origin.created_at, "project": origin.project}
            replace_file(self._dataset_grave(dataset_id), encode(grave))
        return self._remove(self.dataset_folder(dataset_id))

    def dataset_origin(self, dataset_id: str) -> DatasetOrigin | None:
        """When a dataset was created, and its project, also if it was removed in the last week; else None."""
        if not is_dataset_id(dataset_id):
            return None
        info = self.dataset(dataset_id)
        if info is not None:
            return DatasetOrigin(info.created_at, info.project)
        content = read_bytes(self._dataset_grave(dataset_id))
        grave = json.loads(content) if content is not None else None
        return grave and DatasetOrigin(str(grave["created_at"]), str(grave.get("project", DEFAULT_PROJECT)))

    def remove_weights(self, weights_id: str) -> bool:
        """Remove uploaded weights atomically; False if they do not exist."""
        return self._remove(self.weights.place(weights_id))

    def _dataset_grave(self, dataset_id: str) -> Path:
        return self.deleted / f"{dataset_id}{_DATASET_GRAVE}"

    # Programs

    def program(self, program_id: str, version: str | None = None) -> ProgramInfo | None:
        """A version of a program, by default the latest; None if it does not exist or a text is not valid.

        Raises UnusableDocument.
        """
        return self.programs.find(program_id, version)

    def remove_program(self, program_id: str) -> bool:
        """Remove a program with all versions atomically; False if it does not exist."""
        return self._remove(self.programs.place(program_id))

    # Jobs

    def job(self, job_id: str) -> JobFolder | None:
        """The folder of a job; None if it does not exist or the id is not valid. Never looks outside the volume."""
        if not is_job_id(job_id):
            return None
        folder = self.job_folder(job_id)
        return folder if folder.spec_file.exists() else None

    def job_folder(self, job_id: str) -> JobFolder:
        """The folder of a job, which need not exist. The caller has checked the id."""
        return JobFolder(self.jobs / job_id[-2:] / job_id)

    def job_ids(self) -> list[str]:
        """The ids of all jobs, newest first."""
        found = (
            entry.name
            for shard in os.scandir(self.jobs)
            if shard.is_dir(follow_symlinks=False)
            for entry in os.scandir(shard)
        )
        return sorted((name for name in found if is_job_id(name)), reverse=True)

    def store_job(
        self, record: JobRecord, prepare: Callable[[JobFolder], None] = _nothing, *, is_shared: bool = False
    ) -> JobFolder:
        """Create a new job. It is durable when this returns, and nobody may be notified of it before.

        First `prepare` writes into the folder the files that the job begins with. The spec is written as the job's
        marker and then linked to its place: a job always has a marker, and a marker without a job means nothing. Raises
        OSError if the volume cannot store it, and what `prepare` raises. Then nothing is left, except in a bucket that
        may have stored the job, or if `is_shared`: others may be storing the same job at this moment.
        """
        folder = self.job_folder(record.id)
        shard = folder.path.parent.name
        marker = self.open / OpenJob.of(record).name
        mirror = mirror_at(self.root)
        may_exist = is_shared
        try:
            prepare(folder)
            if mirror is not None:
                mirror.upload_folder(folder.path)
                create_file(marker, b"")
                # If `store` fails from here on, the bucket may have stored the spec all the same.
                may_exist = True
            folder.store(record, self.open, *self._above(shard), draft=None if mirror else marker)
        except (OSError, FitstopError):
            if not may_exist and not folder.spec_file.exists():
                with suppress(OSError):
                    remove_name(marker)
                shutil.rmtree(folder.path, ignore_errors=True)
            raise
        self._safe_shards.add(shard)
        return folder

    def _above(self, shard: str) -> tuple[Path, ...]:
        """The folder of the shards, if the name of this shard may not be on the disk yet."""
        return () if shard in self._safe_shards else (self.jobs,)

    def open_jobs(self) -> Iterator[OpenJob]:
        """The jobs without a result. Those of one project are in the order of its queue."""
        for name in sorted(entry.name for entry in os.scandir(self.open)):
            marker = OpenJob.parse(name)
            if marker is not None:
                yield marker

    def close_job(self, open_job: OpenJob) -> None:
        """Remove the marker of a job that has its result."""
        remove_file(self.open / open_job.name)

    def remove_job(self, open_job: OpenJob) -> bool:
        """Remove a finished job atomically; False if it does not exist.

        Its folder leaves its place in one move, so that no job is half deleted. Open files of it can still be read.
        """
        self.close_job(open_job)
        add_name(self.deleted / open_job.job_id)
        remove_markers(self.annotated, self.job_folder(open_job.job_id))
        return self._remove(self.job_folder(open_job.job_id).path)

    def was_deleted(self, job_id: str) -> bool:
        """Whether a job or sweep with this id was deleted; known for a week after its creation. Ids are not reused."""
        return (self.deleted / job_id).exists()

    def remove_leftovers(self) -> None:
        """Remove what a killed process left in `deleted`, and the names that are older than a week.

        The age of a job or a sweep counts from its creation, that of a dataset from its removal.
        """
        for grave in list(self.deleted.iterdir()):
            if grave.name.endswith(_DATASET_GRAVE):
                if time.time() - grave.stat().st_mtime > _REMEMBERED_SECONDS:
                    remove_name(grave)
            elif not (is_job_id(grave.name) or is_sweep_id(grave.name)):
                remove_tree(grave)
            elif age_seconds(grave.name) > _REMEMBERED_SECONDS:
                remove_name(grave)

    def remove_sweep(self, sweep_id: str) -> bool:
        """Remove a sweep atomically; False if it does not exist. Its jobs stay."""
        add_name(self.deleted / sweep_id)
        return self._remove(self.root / "sweeps" / sweep_id)

    def _remove(self, folder: Path) -> bool:
        grave = self.deleted / f"{folder.name}-{secrets.token_hex(6)}"
        if (mirror := mirror_at(self.root)) is not None:
            mirror.remove_folder(folder)
        try:
            folder.rename(grave)
        except FileNotFoundError:
            return False
        sync_folder(folder.parent)
        sync_folder(self.deleted)
        remove_tree(grave)
        return True

    def forget_marker(self, job_id: str) -> None:
        """Remove the marker of a job that was never stored and never will be."""
        for marker in self.open.glob(f"?-{job_id}*"):
            remove_name(marker)

    # Workers

    def show_worker(self, card: WorkerCard) -> None:
        """Replace a worker's card."""
        replace_file(self.workers / f"{card.worker}.json", encode(card.model_dump(mode="json")))

    def remove_worker(self, worker: str) -> None:
        """Remove the card of a worker that has ended."""
        remove_file(self.workers / f"{worker}.json")

    def worker_cards(self) -> list[WorkerCard]:
        """The last card of every worker, sorted by name."""
        cards = (_card(path) for path in sorted(self.workers.glob("*.json")))
        return [card for card in cards if card is not None]


def _card(path: Path) -> WorkerCard | None:
    """A worker's card; None if it was removed or cannot be used, since no decision depends on a card."""
    try:
        return read_document(path, WorkerCard)
    except UnusableDocument as error:
        _warn_once(str(error))
        return None


@lru_cache(maxsize=1000)
def _warn_once(problem: str) -> None:
    """Warn of each problem once, since the cards are read every few seconds."""
    log.warning("a worker's card is ignored: %s", problem)


def data_file_of(job: JobFolder, dataset_id: str) -> Path:
    """The data file of a dataset on the volume of `job`, for a program that only knows a job's folder."""
    if not is_dataset_id(dataset_id):
        raise ValueError(f"not a dataset's id: {dataset_id!r}")
    return job.volume_root / "datasets" / dataset_id / "data.parquet"


def arrays_folder_of(job: JobFolder, dataset_id: str) -> Path:
    """The folder of a dataset's arrays on the volume of `job`."""
    return data_file_of(job, dataset_id).with_name(ARRAYS)


def dataset_of(job: JobFolder, dataset_id: str) -> DatasetInfo | None:
    """The facts of a dataset on the volume of `job`; None if it does not exist."""
    return read_document(data_file_of(job, dataset_id).with_name("dataset.json"), DatasetInfo)
