"""A cancel over HTTP against the finish of the same attempt: one winner each time, and it stays."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from api import create_app
from shared.job import AttemptEnd, Ending, Stop
from shared.job_folder import JobFolder
from shared.open_job import OpenJob
from shared.settings import Settings
from shared.times import utc_now
from shared.volume import Volume
from tests.support.both_stores import Machines
from tests.support.jobs import claim, learnable_frame, put_dataset, put_job, small_spec
from tests.support.keys import ADMIN_KEY, authorized
from worker.supervisor.claim import Owner, claim_next

RACES = {"folder": 500, "bucket": 24}
VOLUMES = 4
SUCCEEDED = Ending(status="succeeded", stop=Stop(reason="epochs_completed"))
OWNER = Owner("w", "h", 1, 0, "CPU")


def finish(volume: Volume, job: JobFolder) -> None:
    """Finish the attempt as a worker does when its child has succeeded."""
    attempt = job.attempts()[0]
    if attempt.close(AttemptEnd(outcome="finished", ended_at=utc_now(), ending=SUCCEEDED)):
        job.settle(SUCCEEDED, 1)
        volume.close_job(OpenJob(5, job.id))


def race(machines: Machines, worker: Volume, client: FlaskClient, *, is_running: bool) -> None:
    """Race a cancel at the API against the finish of a running job, else against a worker's claim."""
    job = put_job(machines.volume, small_spec())
    machines.look()
    mine = worker.job_folder(job.id)
    if is_running:
        claim(mine)
    start = threading.Barrier(2)
    answers: list[int] = []

    def cancel() -> None:
        start.wait()
        answers.append(client.post(f"/jobs/{job.id}/cancel").status_code)

    canceller = threading.Thread(target=cancel)
    canceller.start()
    start.wait()
    claimed = None
    if is_running:
        finish(worker, mine)
    else:
        claimed = claim_next(worker, OWNER)
    canceller.join()
    machines.look()
    check(worker, job, answers[0], is_running=is_running, was_claimed=claimed is not None)


def check(worker: Volume, job: JobFolder, answer: int, *, is_running: bool, was_claimed: bool) -> None:
    state = job.state()
    assert state is not None
    if is_running:
        assert state.status == "succeeded", "a running job's end is its attempt's"
        assert answer in {200, 409}, "asked in time, or too late"
    elif state.result is not None:
        assert (answer, state.status) == (200, "cancelled")
    else:
        assert (answer, state.status, was_claimed) == (200, "running", True)
        assert state.cancel is not None
    if state.result is not None:
        assert not job.settle(SUCCEEDED, 9), "a terminal state is final"
        assert claim_next(worker, OWNER) is None, "nothing is resurrected"
        assert job.result() == state.result


@pytest.mark.both_stores
@pytest.mark.parametrize("is_running", [True, False])
def test_many_cancels_race_and_each_has_one_winner(
    open_machines: Callable[[Path], Machines], store_kind: str, tmp_path: Path, is_running: bool
) -> None:
    def races(number: int) -> None:
        (folder := tmp_path / str(number)).mkdir()
        machines = open_machines(folder)
        worker = machines.add()
        put_dataset(machines.volume, learnable_frame(40))
        settings = Settings(volume=machines.volume.root, redis_url="redis://127.0.0.1:1/0", admin_key=ADMIN_KEY)
        client = authorized(create_app(settings))
        for _ in range(RACES[store_kind] // VOLUMES):
            race(machines, worker, client, is_running=is_running)
        machines.end()

    with ThreadPoolExecutor(VOLUMES) as pool:
        list(pool.map(races, range(VOLUMES)))
