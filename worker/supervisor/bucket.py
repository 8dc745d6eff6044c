"""What a worker downloads from a volume in a bucket: open jobs, sweeps, and the trials of running sweeps.

Each worker has its own folder, which the next worker on its machine takes over, so that datasets, programs and weights
are downloaded once. The files of jobs that an earlier worker left are not used, because the bucket has everything that
counts.
"""

import fcntl
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from shared.document import read_document
from shared.mirror.known import KnownFiles
from shared.mirror.local_folder import for_workers
from shared.mirror.names import document_of
from shared.mirror.opening import Looking, open_mirror, wait_for_bucket
from shared.settings import Settings
from shared.sweep.folder import SweepFolder, TrialRecord

_TRIAL = re.compile(r"[0-9]{6}\.json")
_VOID = ("jobs", "sweeps", "open", "turns")


def open_bucket_folder(settings: Settings, environment: Mapping[str, str]) -> tuple[Looking | None, Path]:
    """Return the looks at the bucket and this worker's folder; for a volume on a filesystem, None and its folder.

    Waits until the bucket answers. Raises OSError.
    """
    if not settings.bucket:
        return None, settings.volume.resolve()
    root = _take_folder(settings.volume.resolve().parent)
    known = KnownFiles(root.with_name(f"{root.name}.sqlite"))
    for name in _VOID:
        known.forget(known.below(name))
        shutil.rmtree(root / name, ignore_errors=True)
    known.close()
    wants = Wanted(root).wants
    return wait_for_bucket(
        lambda: open_mirror(settings, root, environment, wants=wants, always=(), eager=for_workers)
    ), root


def _take_folder(parent: Path) -> Path:
    """Lock the first folder that no other worker uses, until this process ends."""
    parent.mkdir(parents=True, exist_ok=True)
    number = 0
    while True:
        root = parent / f"worker-{number}"
        lock = os.open(root.with_name(f"{root.name}.used"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            number += 1
        else:
            return root


class Wanted:
    """Chooses the units of a bucket that a worker needs."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._jobs: dict[str, dict[str, str]] = {}

    def wants(self, unit: str, open_jobs: frozenset[str]) -> bool:
        kind, _, rest = unit.partition("/")
        # Documents of datasets, programs and weights say whether a trial can be posted and a job can run.
        if kind in {"sweeps", "turns"} or document_of(unit):
            return True
        job_id = rest.rpartition("/")[2]
        return kind == "jobs" and (job_id in open_jobs or job_id in self._jobs_of_trials())

    def _jobs_of_trials(self) -> set[str]:
        """The jobs of running sweeps: their results decide which trial is proposed next."""
        sweeps = self._root / "sweeps"
        running = [one for one in map(SweepFolder, _folders(sweeps)) if one.is_running()]
        self._jobs = {str(one.path): self._read(one, self._jobs.get(str(one.path), {})) for one in running}
        return {job for jobs in self._jobs.values() for job in jobs.values()}

    def _read(self, sweep: SweepFolder, known: dict[str, str]) -> dict[str, str]:
        for name in (one.name for one in sweep.trials.glob("*.json")):
            if name not in known and _TRIAL.fullmatch(name):
                record = read_document(sweep.trials / name, TrialRecord)
                if record is not None:
                    known[name] = record.job
        return known


def _folders(parent: Path) -> list[Path]:
    return [Path(entry.path) for entry in os.scandir(parent)] if parent.is_dir() else []
