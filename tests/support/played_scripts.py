"""Scripts that run as jobs in the test's own process."""

from pathlib import Path
from typing import Any

from shared.events import Event, read_events
from shared.job import Ending, Stop
from shared.job_folder import AttemptFolder, JobFolder
from shared.settings import Settings
from shared.volume import Volume
from tests.support.jobs import claim
from tests.support.scripts import put_script_job
from worker.training.program.prepared_script import prepare_script
from worker.training.run import run
from worker.training.stop_requests import StopRequests

SETTINGS = Settings(allow_code="unboxed")


def play(volume: Volume, script: str, **spec: Any) -> tuple[JobFolder, Ending]:
    job = put_script_job(volume, script, **spec)
    return job, play_attempt(claim(job))


def play_attempt(attempt: AttemptFolder) -> Ending:
    conclusion = run(attempt, StopRequests(attempt, 60), SETTINGS, prepare_script(attempt, SETTINGS))
    assert conclusion.ending is not None
    assert not conclusion.may_retry
    return conclusion.ending


def succeed(volume: Volume, script: str, **spec: Any) -> tuple[JobFolder, Stop]:
    job, ending = play(volume, script, **spec)
    assert ending.status == "succeeded", ending
    assert ending.stop is not None
    return job, ending.stop


def events_of(job: JobFolder, kind: str) -> list[Event]:
    return [event for _, event in read_events(job.attempts()[-1].events_file) if event.type == kind]


def file_of(job: JobFolder, name: str) -> Path:
    return job.attempts()[-1].path / "files" / name
