"""A job's bundle from a real server, and the metrics that it is compared with."""

import io
import zipfile
from pathlib import Path

from shared.job_folder import JobFolder
from shared.manifest import read_manifest
from tests.support.api_process import ApiProcess


def download(api: ApiProcess, job: JobFolder, to: Path) -> Path:
    """Download and unpack the bundle, and return its folder."""
    answer = api.ask("GET", f"/jobs/{job.id}/bundle.zip")
    assert answer.status == 200
    zipfile.ZipFile(io.BytesIO(answer.body)).extractall(to)
    return to / job.id


def best_metrics(job: JobFolder) -> dict[str, float | None]:
    """The metrics of the best model of the job's first attempt, from its manifest."""
    manifest = read_manifest(job.attempts()[0].manifest_file)
    best = manifest.find(manifest.best or "")
    assert best is not None
    return best.metrics
