"""What a script finds when its first line runs: its files, its arguments, its datasets, and the box around it."""

import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from shared.document import UnusableDocument
from shared.durable import make_folder
from shared.job import EnginePlan, JobRecord
from shared.job_folder import AttemptFolder, JobFolder
from shared.program import REQUIREMENTS, program_folder_of, unpack
from shared.settings import Settings
from shared.spec import ProgramJobSpec, ProgramSpec
from shared.volume import arrays_folder_of, data_file_of, dataset_of
from worker.training.errors import DataChanged, DataMissing
from worker.training.hashing import do_nothing
from worker.training.program.box import Box, confine
from worker.training.program.requirements import Limits, overlay
from worker.training.resume.store import remove_older

_NOT_IN_NAMES = re.compile("[^A-Z0-9]")


@dataclass(frozen=True)
class Stage:
    """The script that is about to run, in the folder that it works in; or why it cannot."""

    folder: Path
    script: Path
    error: Exception | None = None


def set_stage(attempt: AttemptFolder, settings: Settings, go_on: Callable[[], None] = do_nothing) -> Stage | None:
    """Make all ready for the script of a job that runs a program, and confine this process to it; None for other jobs.

    `go_on` is called several times a second while packages are installed, and ends that by what it raises.

    Call it while this process has one thread: the box binds no thread that began before. What goes wrong is in the
    answer, for the run to report.
    """
    record = attempt.job.record()
    if record is None or not isinstance(record.spec, ProgramJobSpec):
        return None
    folder = attempt.path / "files"
    script = folder / (record.spec.program.entry or "")
    try:
        _unpack(attempt, record, folder)
        plan_of_machine(attempt.job)
        remove_older(attempt)
        datasets = dict(_datasets(attempt, record))
        packages = _packages(attempt, folder, settings, go_on)
        read = (attempt.job.path, *(path.parent for path in datasets.values()), *packages)
        confine(Box(read, (attempt.path,), record.spec.program.network, folder), settings.allow_code)
        _enter(record.spec.program, folder, script, datasets)
        sys.path.extend(map(str, packages))
    except Exception as error:
        # The edge of what comes before a run: it is recorded as the job's error there.
        return Stage(folder, script, error)
    return Stage(folder, script)


def plan_of_machine(job: JobFolder) -> EnginePlan:
    """What is decided before the script's first line, once for all attempts: the number of threads."""
    kept = job.plan()
    if kept is None:
        threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        reason = "each call of fit has its own engine"
        kept = EnginePlan(
            engine="stock", xla=False, threads=threads, validation_batch=1, steps_per_epoch=1, reason=reason
        )
        job.keep_to(kept)
    return kept


def _unpack(attempt: AttemptFolder, record: JobRecord, folder: Path) -> None:
    assert isinstance(record.spec, ProgramJobSpec)
    make_folder(attempt.resume, within=attempt.path)
    version = program_folder_of(attempt.job, record.spec.program.id, record.program_version or "")
    if not version.exists():
        raise DataMissing(f'the program "{record.spec.program.id}" of this version is not on the volume')
    try:
        unpack(version, folder)
    except UnusableDocument as error:
        raise DataChanged(str(error)) from error


def _packages(attempt: AttemptFolder, folder: Path, settings: Settings, go_on: Callable[[], None]) -> tuple[Path, ...]:
    """The folder of the packages that the program requires; none where the worker has all."""
    wanted = folder / REQUIREMENTS
    if not wanted.exists():
        return ()
    limits = Limits(settings.requirements_bytes, settings.requirements_seconds)
    found = overlay(
        wanted.read_text(), settings.cache, limits, kept_lock=attempt.job.path / "requirements.lock", go_on=go_on
    )
    return () if found.folder is None else (found.folder,)


def _datasets(attempt: AttemptFolder, record: JobRecord) -> Iterator[tuple[str, Path]]:
    """The ids of the datasets that the script may read, and where each is."""
    for dataset_id in record.spec.dataset_ids:
        info = dataset_of(attempt.job, dataset_id)
        if info is None:
            raise DataMissing(f'the dataset "{dataset_id}" is not on the volume')
        if info.data_sha256 != record.datasets_sha256[dataset_id]:
            raise DataChanged(f'the dataset "{dataset_id}" is not the version that the job was posted with')
        kept = arrays_folder_of if info.kind == "arrays" else data_file_of
        yield dataset_id, kept(attempt.job, dataset_id)


def variable_of(dataset_id: str) -> str:
    """The environment variable that says where a dataset is."""
    return f"FITSTOP_DATASET_{_NOT_IN_NAMES.sub('_', dataset_id.upper())}"


def _enter(program: ProgramSpec, folder: Path, script: Path, datasets: dict[str, Path]) -> None:
    """What Python itself would set up for `python script arguments` in that folder."""
    os.environ.update(program.environment)
    os.environ.update({variable_of(dataset_id): str(path) for dataset_id, path in datasets.items()})
    os.chdir(folder)
    sys.argv = [str(script.relative_to(folder)), *program.arguments]
    sys.path.insert(0, str(script.parent))
