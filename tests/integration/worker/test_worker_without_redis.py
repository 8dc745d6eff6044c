"""A service without Redis: a real API and a real worker that share a volume and nothing else."""

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from shared.job_folder import JobFolder
from shared.settings import NO_REDIS
from shared.volume import Volume
from tests.support.api_process import ApiProcess
from tests.support.jobs import LONG
from tests.support.sweeps import sweep_document
from tests.support.waiting import wait_for
from tests.support.worker_process import WorkerProcess


@pytest.fixture(scope="module")
def worker(shared_volume: Volume, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerProcess]:
    """A worker with two slots, which warms up while the API starts."""
    log = tmp_path_factory.mktemp("worker") / "worker.log"
    process = WorkerProcess(shared_volume, NO_REDIS, log, FITSTOP_SLOTS="2", FITSTOP_SWEEP_SECONDS="0.5")
    process.begin()
    yield process
    process.stop()


@pytest.fixture(scope="module")
def api(shared_volume: Volume, worker: WorkerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    process = ApiProcess(shared_volume, NO_REDIS, tmp_path_factory.mktemp("api") / "api.log")
    process.start()
    yield process
    process.stop()


def post(api: ApiProcess, path: str, document: dict[str, Any]) -> str:
    answer = api.ask("POST", path, document)
    assert answer.status in {200, 201, 202}, answer.body
    return str(answer.json["id"])


def ended(api: ApiProcess, sweep: str) -> dict[str, Any] | None:
    found: dict[str, Any] = api.ask("GET", f"/sweeps/{sweep}").json
    return found if found["status"] != "running" else None


def trains(job: JobFolder) -> bool:
    return any(attempt.training_log.exists() for attempt in job.attempts())


def test_no_redis_is_no_fault(api: ApiProcess) -> None:
    wait_for(lambda: api.ask("GET", "/readyz").status == 200, 60, every=0.1, saying="all checks pass")
    found = api.ask("GET", "/readyz").json["checks"]["redis"]
    assert found == {"ok": True, "detail": "no Redis configured; workers check the volume on their own"}
    assert b"fitstop_redis_up" not in api.ask("GET", "/metrics").body


def test_a_sweep_runs_to_its_end(api: ApiProcess) -> None:
    sweep = post(api, "/sweeps", sweep_document(trials=3))
    found = wait_for(lambda: ended(api, sweep), 60, every=0.1)
    assert (found["status"], found["counts"]["succeeded"]) == ("succeeded", 3)


# The last test with the worker that all of them share.
def test_both_slots_train_a_queued_job_is_cancelled_and_sigterm_hands_back(
    api: ApiProcess, shared_volume: Volume, worker: WorkerProcess
) -> None:
    jobs = [shared_volume.job(post(api, "/jobs", LONG)) for _ in range(3)]
    wait_for(lambda: all(map(trains, jobs[:2])), 30, saying="two jobs train at once")
    assert api.ask("POST", f"/jobs/{jobs[2].id}/cancel").status in {200, 202}
    assert wait_for(jobs[2].result).ending.status == "cancelled"
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0
    ends = [job.attempts()[0].end() for job in jobs[:2]]
    assert [end.outcome for end in ends if end] == ["handed_back", "handed_back"]
    assert shared_volume.worker_cards() == []
    assert jobs[2].attempts() == []
    assert '"level": "warning"' not in api.log.read_text()
    assert "WARNING worker" not in worker.log.read_text()
