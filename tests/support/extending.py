"""Jobs that have finished, and jobs that extend them, posted to the real API on a test's volume."""

from pathlib import Path
from typing import Any

from api import create_app
from shared.job import AttemptEnd
from shared.job_folder import JobFolder
from shared.open_job import OpenJob
from shared.settings import Settings
from shared.times import utc_now
from shared.volume import Volume
from tests.support.keys import ADMIN_KEY, authorized
from worker.supervisor.clean_up import sweep_out


def end(volume: Volume, job: JobFolder) -> None:
    """End the job as its worker does after the training program has written its conclusion."""
    attempt, record = job.attempts()[-1], job.record()
    conclusion = attempt.conclusion()
    assert conclusion is not None
    assert conclusion.ending is not None
    assert record is not None
    attempt.close(AttemptEnd(outcome="finished", ended_at=utc_now(), ending=conclusion.ending))
    job.settle(conclusion.ending, attempt.number)
    volume.close_job(OpenJob(record.spec.priority, record.id))
    sweep_out(job)


def extended(volume: Volume, job: JobFolder, **changes: Any) -> JobFolder:
    """Extend `job`, and return the new job. `from_` is the body's `from`."""
    body = {name.removesuffix("_"): value for name, value in changes.items()}
    client = authorized(
        create_app(Settings(volume=volume.root, redis_url="redis://127.0.0.1:1/0", admin_key=ADMIN_KEY))
    )
    answer = client.post(f"/jobs/{job.id}/extend", json=body)
    assert answer.status_code == 202, answer.json
    found = volume.job(answer.json["id"])
    assert found is not None
    return found


def content(folder: Path) -> dict[str, bytes]:
    """The content of every file below a folder, by its path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
