"""How fast is the API? `python -m bench.api`: pairs in one run on one machine, each measured in turn.

POST /jobs against the floor (`bench.floor`) and against MLflow's tracking server, which creates a run on SQLite, its
default; GET /jobs/{id}, by clients that ask again at once and by as many that ask ten times a second, against the
floor's GET; GET /jobs with 100 and with 100,000 jobs on the volume; and a cold index over all of these. API and floor
have the same number of processes. MLflow is installed only for this run, or taken from an environment that has it
(`--mlflow-python`). The last line is the result as JSON. The exit status is 1 if a goal is missed.
"""

import argparse
import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ulid import ULID

from shared.job import Ending
from shared.open_job import OpenJob
from shared.times import format_time
from shared.volume import Volume
from tests.support.api_process import ApiProcess
from tests.support.jobs import learnable_frame, put_dataset, put_job, small_spec
from tests.support.keys import ADMIN_KEY
from tests.support.load import Load
from tests.support.redis import free_port, running_redis
from tests.support.waiting import wait_for

CLIENTS = 16
# The interval of a client that asks ten times a second, and not as fast as the server can answer.
PACE_SECONDS = 0.1
SPEC = small_spec()
CREATE_RUN, RUN = "/api/2.0/mlflow/runs/create", {"experiment_id": "0", "start_time": 1}
FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
GOALS = {
    "post_to_mlflow": (">=", 5.0),
    "paced_job_p99_seconds": ("<=", 0.020),
    "job_p99_seconds": ("<=", 0.100),
    "list_growth": ("<=", 2.0),
    "cold_index_seconds": ("<", 30.0),
}
API = {
    "FITSTOP_REQUESTS_PER_MINUTE": "100000000",
    "FITSTOP_MAX_UNFINISHED_JOBS": "1000000",
    "FITSTOP_LOG_LEVEL": "warning",
}


def load(
    port: int,
    method: str,
    path: str,
    body: Any = None,
    *,
    clients: int = CLIENTS,
    seconds: float = 4.0,
    every: float = 0.0,
) -> Load:
    """A load by clients with the administrator's key."""
    content = b"" if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {ADMIN_KEY}", "Content-Type": "application/json"}
    return Load(
        port, method, path, headers=headers, body=content, clients=clients, seconds=seconds, every_seconds=every
    )


def main() -> int:
    """Exit status 0 only if every goal that could be measured was met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2, help="of the API, as in docker-compose.yml, and the floor")
    parser.add_argument("--no-mlflow", action="store_true")
    parser.add_argument("--mlflow-python", type=Path, help="the Python of an environment that has MLflow")
    asked = parser.parse_args()
    API["FITSTOP_API_PROCESSES"] = str(asked.processes)
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name, running_redis(Path(name)) as redis:
        folder = Path(name)
        found |= posts(folder, redis.url, asked.rounds, asked.mlflow_python, with_mlflow=not asked.no_mlflow)
        found |= reads(folder, redis.url, asked.jobs, asked.rounds)
    missed = [goal for goal, (sign, value) in GOALS.items() if goal in found and not _is_met(found[goal], sign, value)]
    for goal, (sign, value) in GOALS.items():
        say(
            f"{goal}: {found.get(goal, float('nan')):.4g}, wanted {sign} {value:g}"
            + (" MISSED" if goal in missed else "")
        )
    print(json.dumps({**{key: round(value, 5) for key, value in found.items()}, "missed": missed}))
    return 1 if missed else 0


def posts(
    folder: Path, redis_url: str, rounds: int, mlflow_python: Path | None, *, with_mlflow: bool
) -> dict[str, float]:
    """Measure POST /jobs, its floor and MLflow, in turn."""
    volume = Volume(folder / "posts")
    put_dataset(volume, learnable_frame())
    api = _api(volume, redis_url, folder)
    with _served(api), _floor(folder, redis_url) as floor, _mlflow(folder, mlflow_python, wanted=with_mlflow) as mlflow:
        ask: dict[str, Callable[[], Load]] = {
            "floor": lambda: load(floor, "POST", "/jobs", SPEC),
            "post": lambda: load(api.port, "POST", "/jobs", SPEC),
        }
        if mlflow:
            ask["mlflow"] = lambda: load(mlflow, "POST", CREATE_RUN, RUN)
        found = _in_turn(ask, rounds)
    found["post_to_floor"] = found["post_per_second"] / found["floor_per_second"]
    if mlflow:
        found["post_to_mlflow"] = found["post_per_second"] / found["mlflow_per_second"]
    return found


def reads(folder: Path, redis_url: str, jobs: int, rounds: int) -> dict[str, float]:
    """Measure one job and the first page, with few and with many jobs on the volume; and the time of a cold index."""
    few, many = filled(folder / "few", 100), filled(folder / "many", jobs)
    small, large = _api(few, redis_url, folder), _api(many, redis_url, folder)
    found: dict[str, float] = {}
    with _served(large):
        found["cold_index_seconds"], found["slowest_while_building_seconds"] = cold_index(large)
        with _served(small), _floor(folder, redis_url) as floor:
            waits, over = next(few.open_jobs()).job_id, few.job_ids()[-1]
            ask: dict[str, Callable[[], Load]] = {
                "floor_get": lambda: load(floor, "GET", f"/jobs/{waits}"),
                "healthz": lambda: load(small.port, "GET", "/healthz"),
                "job": lambda: load(small.port, "GET", f"/jobs/{waits}"),
                "paced_job": lambda: load(small.port, "GET", f"/jobs/{waits}", every=PACE_SECONDS),
                "finished_job": lambda: load(small.port, "GET", f"/jobs/{over}"),
                "list_few": lambda: load(small.port, "GET", "/jobs", clients=1),
                "list_many": lambda: load(large.port, "GET", "/jobs", clients=1),
            }
            found |= _in_turn(ask, rounds)
    found["list_growth"] = found["list_many_p50_seconds"] / found["list_few_p50_seconds"]
    return found


def cold_index(api: ApiProcess) -> tuple[float, float]:
    """The seconds until the index answers a filter, and of the slowest other answer meanwhile."""
    began, slowest = time.monotonic(), 0.0
    while api.ask("GET", "/jobs?name=nobody").status == 503:
        for path in ("/healthz", "/limits"):
            asked = time.monotonic()
            assert api.ask("GET", path).status == 200
            slowest = max(slowest, time.monotonic() - asked)
        time.sleep(0.5)
    return time.monotonic() - began, slowest


def filled(root: Path, count: int) -> Volume:
    """Create a volume with `count` jobs, all but one finished. Writes without a sync, because nothing has to last."""
    say(f"writing {count} jobs")
    volume = Volume(root)
    put_dataset(volume, learnable_frame())
    pattern = put_job(volume, SPEC)
    record = json.loads(pattern.spec_file.read_bytes())
    over = put_job(volume, SPEC)
    over.settle(Ending(status="succeeded"), attempt=None)
    volume.close_job(OpenJob(5, over.id))
    result = over.result_file.read_bytes()
    for number in range(count - 2):
        moment = FIRST_DAY + 60 * number
        folder = volume.job_folder(f"job_{ULID.from_timestamp(moment)}")
        folder.path.mkdir(parents=True)
        told = {**record, "id": folder.id, "created_at": format_time(datetime.fromtimestamp(moment, UTC))}
        folder.spec_file.write_text(json.dumps(told))
        folder.result_file.write_bytes(result)
    return volume


def _in_turn(ask: dict[str, Callable[[], Load]], rounds: int) -> dict[str, float]:
    """The median over the rounds of the rate, p50 and p99 of each name, under keys that begin with the name."""
    seen: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, measured in ask.items():
            done = measured()
            say(f"{name}: {done.per_second:.0f}/s, p50 {done.p50:.4f} s, p99 {done.p99:.4f} s")
            for kind, value in (
                ("per_second", done.per_second),
                ("p50_seconds", done.p50),
                ("p99_seconds", done.p99),
            ):
                seen.setdefault(f"{name}_{kind}", []).append(value)
    return {name: statistics.median(values) for name, values in seen.items()}


def _api(volume: Volume, redis_url: str, folder: Path) -> ApiProcess:
    cache = str(folder / f"cache-{volume.root.name}")
    return ApiProcess(volume, redis_url, folder / f"{volume.root.name}.log", XDG_CACHE_HOME=cache, **API)


@contextmanager
def _served(api: ApiProcess) -> Iterator[None]:
    api.start()
    try:
        yield
    finally:
        api.stop()


@contextmanager
def _floor(folder: Path, redis_url: str) -> Iterator[int]:
    port, place = free_port(), folder / "floor"
    place.mkdir(exist_ok=True)
    command = [
        sys.executable, "-m", "gunicorn", "-k", "gthread", "-w", API["FITSTOP_API_PROCESSES"], "--threads", "384",
        "-b", f"127.0.0.1:{port}", "--log-level", "warning", "bench.floor:app",
    ]  # fmt: skip
    environment = {**os.environ, "FLOOR_FOLDER": str(place), "FLOOR_REDIS_URL": redis_url}
    with _running(command, environment, port, "POST", "/jobs"):
        yield port


@contextmanager
def _mlflow(folder: Path, python: Path | None, *, wanted: bool) -> Iterator[int | None]:
    """Run MLflow's server in its own environment; yield its port, or None if it is not wanted or not installable."""
    if wanted and python is None:
        python = _installed(folder)
    if not wanted or python is None:
        yield None
        return
    port = free_port()
    command = [
        str(python), "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination", str(folder / "artifacts"), "--host", "127.0.0.1", "--port", str(port),
    ]  # fmt: skip
    environment = {**os.environ, "PATH": f"{python.parent}:{os.environ['PATH']}"}
    with _running(command, environment, port, "GET", "/health"):
        # It answers long before all of its processes have started, and until then they would slow down everything else.
        wait_for(
            lambda: load(port, "POST", CREATE_RUN, RUN, seconds=0.5).p99 < 1.0, 180, saying="MLflow has its own speed"
        )
        yield port


def _installed(folder: Path) -> Path | None:
    say("installing MLflow")
    python = folder / "mlflow" / "bin" / "python"
    steps = [
        [sys.executable, "-m", "venv", str(folder / "mlflow")],
        [str(python), "-m", "pip", "install", "-q", "mlflow"],
    ]
    done = all(subprocess.run(step, stdout=sys.stderr, check=False).returncode == 0 for step in steps)
    if not done:
        say("MLflow cannot be installed here: its comparison is left out")
    return python if done else None


@contextmanager
def _running(command: list[str], environment: dict[str, str], port: int, method: str, path: str) -> Iterator[None]:
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )

    def answers() -> bool:
        assert process.poll() is None, command
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request(method, path, b"{}" if method == "POST" else None)
            return connection.getresponse().status < 300
        except OSError:
            return False
        finally:
            connection.close()

    try:
        wait_for(answers, 120, saying=f"{command[2]} answers")
        yield
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a server and everything that it has started."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(30)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _is_met(value: float, sign: str, goal: float) -> bool:
    return {">=": value >= goal, "<=": value <= goal, "<": value < goal}[sign]


def say(text: str) -> None:
    """Print the progress on stderr."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
