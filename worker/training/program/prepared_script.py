"""Prepares this process for a script: its files, arguments, datasets and packages, and the sandbox that confines it."""

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
from worker.training.program.forks import start_processes_as_plain_python
from worker.training.program.requirements import Limits, install_requirements
from worker.training.program.sandbox import Sandbox, confine
from worker.training.resume.store import remove_older

_NOT_IN_NAMES = re.compile("[^A-Z0-9]")


@dataclass(frozen=True)
class PreparedScript:
    """A script that is ready to run in its working folder; with an `error`, it cannot run."""

    folder: Path
    script: Path
    error: Exception | None = None


def prepare_script(
    attempt: AttemptFolder, settings: Settings, keep_alive: Callable[[], None] = do_nothing
) -> PreparedScript | None:
    """Prepare the script of a job that runs a program, and confine this process; None for other jobs.

    `keep_alive` is called several times a second while packages are installed, and may raise to stop. Call this while
    the process has one thread, because the sandbox does not confine threads that exist already. An error is returned in
    the result, for the run to report.
    """
    record = attempt.job.record()
    if record is None or not isinstance(record.spec, ProgramJobSpec):
        return None
    folder = attempt.path / "files"
    script = folder / (record.spec.program.entry or "")
    try:
        _unpack(attempt, record, folder)
        decide_machine_plan(attempt.job)
        remove_older(attempt)
        datasets = dict(_datasets(attempt, record))
        packages = _packages(attempt, folder, settings, keep_alive)
        read = (attempt.job.path, *(path.parent for path in datasets.values()), *packages)
        confine(Sandbox(read, (attempt.path,), record.spec.program.network, folder), settings.allow_code)
        _enter(record.spec.program, folder, script, datasets)
        start_processes_as_plain_python()
        sys.path.extend(map(str, packages))
    except Exception as error:
        # The edge of the preparation: the run records the error as the job's.
        return PreparedScript(folder, script, error)
    return PreparedScript(folder, script)


def decide_machine_plan(job: JobFolder) -> EnginePlan:
    """The plan that all attempts of the job share, with the number of threads. The first attempt makes it."""
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


def _packages(
    attempt: AttemptFolder, folder: Path, settings: Settings, keep_alive: Callable[[], None]
) -> tuple[Path, ...]:
    """Install the packages that the program requires; their folder, if the worker lacks some."""
    wanted = folder / REQUIREMENTS
    if not wanted.exists():
        return ()
    limits = Limits(settings.requirements_bytes, settings.requirements_seconds)
    found = install_requirements(
        wanted.read_text(),
        settings.cache,
        limits,
        job_lock=attempt.job.path / "requirements.lock",
        keep_alive=keep_alive,
    )
    return () if found.folder is None else (found.folder,)


def _datasets(attempt: AttemptFolder, record: JobRecord) -> Iterator[tuple[str, Path]]:
    """Yield the id and the path of each dataset that the script may read."""
    for dataset_id in record.spec.dataset_ids:
        info = dataset_of(attempt.job, dataset_id)
        if info is None:
            raise DataMissing(f'the dataset "{dataset_id}" is not on the volume')
        if info.data_sha256 != record.datasets_sha256[dataset_id]:
            raise DataChanged(f'the dataset "{dataset_id}" is not the version that the job was posted with')
        kept = arrays_folder_of if info.kind == "arrays" else data_file_of
        yield dataset_id, kept(attempt.job, dataset_id)


def variable_of(dataset_id: str) -> str:
    """The name of the environment variable with the path of a dataset."""
    return f"FITSTOP_DATASET_{_NOT_IN_NAMES.sub('_', dataset_id.upper())}"


def _enter(program: ProgramSpec, folder: Path, script: Path, datasets: dict[str, Path]) -> None:
    """Set up this process as `python script arguments` would in the folder."""
    os.environ.update(program.environment)
    os.environ.update({variable_of(dataset_id): str(path) for dataset_id, path in datasets.items()})
    os.chdir(folder)
    sys.argv = [str(script.relative_to(folder)), *program.arguments]
    sys.path.insert(0, str(script.parent))
