"""One run of Schemathesis against an API with its own Redis and volume."""

import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from proofs.contract.hooks import CHECKPOINT, DATASET, JOBS_VARIABLE
from shared.events import Event, EventWriter
from shared.job import Ending, TerminalStatus
from shared.job_folder import JobFolder
from shared.manifest import Checkpoint, Manifest, write_manifest
from shared.open_job import OpenJob
from shared.sweep.folder import sweep_folder
from shared.times import time_in, utc_now
from shared.volume import Volume
from shared.worker_card import WorkerCard
from tests.support.api_process import ApiProcess
from tests.support.jobs import claim
from tests.support.keys import ADMIN_KEY

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "use_after_free",
    "ignored_auth",
)
CSV = b"kind,size,label\n" + b"".join(b"%s,%d,%d\n" % (b"red" if n % 3 else b"blue", n, n % 2) for n in range(60))


def prepare(api: ApiProcess) -> list[str]:
    """Create data, a worker, and jobs and sweeps in several states. Return the ids of the jobs and sweeps."""
    assert api.ask("PUT", f"/datasets/{DATASET}", CSV).status == 201
    spec = {"dataset": {"id": DATASET, "target": "label"}}
    jobs = [api.volume.job_folder(api.ask("POST", "/jobs", spec).json["id"]) for _ in range(4)]
    _waiting, running, failed, trained = jobs
    claim(running)
    _finish(api.volume, failed, "failed")
    attempt = claim(trained)
    attempt.checkpoints.mkdir()
    (attempt.checkpoints / CHECKPOINT).write_bytes(b"a model")
    kept = Checkpoint(
        name=CHECKPOINT,
        epoch=1,
        bytes=7,
        sha256=sha256(b"a model").hexdigest(),
        saved_at=utc_now(),
        metrics={"loss": None},
    )
    write_manifest(attempt.manifest_file, Manifest(best=CHECKPOINT, checkpoints=(kept,)))
    attempt.training_log.write_bytes(b"epoch,loss\n0,0.5\n")
    attempt.preprocessing_file.write_bytes(b"fitted steps")
    attempt.inference_file.write_bytes(b'{"classes": [0, 1], "versions": {"keras": "3.15.1"}}')
    with EventWriter(attempt.events_file) as events:
        events.write([Event("state", "it has begun", {})])
    _finish(api.volume, trained, "succeeded")
    facts = {"host": "here", "pid": 1, "device": "CPU", "slots": 1, "child_start": "spawn", "ready": True}
    times = {"started_at": utc_now(), "seen_at": time_in(1e6)}
    api.volume.show_worker(WorkerCard(worker="w", draining=False, running=(), **facts, **times))
    return [*(job.id for job in jobs), *_post_sweeps(api)]


def _post_sweeps(api: ApiProcess) -> list[str]:
    """Create a sweep that runs and one that has ended, and return their ids."""
    spec = {"job": {"dataset": {"id": DATASET, "target": "label"}}, "space": {"/model/dropout": {"uniform": [0, 0.5]}}}
    running, ended = (api.ask("POST", "/sweeps", spec).json["id"] for _ in range(2))
    sweep_folder(api.volume, ended).end("completed", "all trials have ended")
    return [running, ended]


def _finish(volume: Volume, job: JobFolder, status: TerminalStatus) -> None:
    job.settle(Ending(status=status), attempt=None)
    volume.close_job(OpenJob(5, job.id))


def run(api: ApiProcess, jobs: list[str], examples: int, phases: str, seed: int) -> "subprocess.CompletedProcess[str]":
    """Run Schemathesis and return its output. Exit status 0 if every answer was as documented."""
    command = [
        sys.executable, "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{api.port}/openapi.json",
        "--header", f"Authorization: Bearer {ADMIN_KEY}", "--checks", ",".join(CHECKS), "--phases", phases,
        "--max-examples", str(examples), "--seed", str(seed), "--request-timeout", "70",
        "--generation-database", "none", "--continue-on-failure", "--no-color",
        # Its answer lasts until the job ends.
        "--exclude-path", "/jobs/{job_id}/events",
    ]  # fmt: skip
    environment = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": "proofs.contract.hooks",
        JOBS_VARIABLE: ",".join(jobs),
        "PYTHONPATH": str(Path.cwd()),
    }
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def contract_api(folder: Path, redis_url: str) -> ApiProcess:
    """An API with limits that the run does not reach."""
    return ApiProcess(
        Volume(folder / "volume"),
        redis_url,
        folder / "api.log",
        FITSTOP_REQUESTS_PER_MINUTE="10000000",
        FITSTOP_LOG_LEVEL="warning",
        XDG_CACHE_HOME=str(folder / "cache"),
    )
