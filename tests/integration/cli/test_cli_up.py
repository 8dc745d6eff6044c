"""`fitstop up` as people run it: a process in a terminal of its own, with the real Redis, API and worker under it."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import httpx2
import pytest

from fitstop.local.redis_server import find_redis_server
from shared.volume import Volume
from tests.support.waiting import wait_for, wait_for_end

pytestmark = pytest.mark.skipif(find_redis_server() is None, reason="no Redis server here")

START_SECONDS = 90


class Up:
    """One `fitstop up` on a folder; `said` is its whole output."""

    def __init__(self, folder: Path, number: int, *arguments: str) -> None:
        self.data = folder / "data"
        self._log = folder / f"up-{number}.log"
        self._folder = folder
        self._arguments = arguments
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Up":
        # A free port: several processes of pytest would compete for 8000.
        port = [] if "--port" in self._arguments else ["--port", "0"]
        command = [sys.executable, "-m", "fitstop.cli.main", "up", "--data", str(self.data), *port, *self._arguments]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self._folder, env=environment(), start_new_session=True
            )
        return self

    def ready(self) -> "Up":
        wait_for(
            lambda: "Ctrl-C stops the service" in self.said() or not self.runs(),
            START_SECONDS,
            saying="up is ready",
        )
        assert self.runs(), self.said()
        return self

    def runs(self) -> bool:
        return self.process.poll() is None

    def said(self) -> str:
        return self._log.read_text()

    def url(self) -> str:
        return json.loads((self.data / "cli.json").read_text())["url"]

    def end(self, number: int = signal.SIGINT, within: float = 45) -> int:
        self.process.send_signal(number)
        return wait_for_end(self.process, within)


def environment(**more):
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **more}


@pytest.fixture
def make_up(tmp_path):
    """Make stacks on one folder; none is left behind."""
    started = []

    def make(*arguments):
        started.append(Up(tmp_path, len(started), *arguments))
        return started[-1]

    yield make
    for up in started:
        if up.process is not None and up.runs():
            up.process.kill()
            up.process.wait()
    wait_for(lambda: not processes_of(tmp_path), 20, saying="nothing is left")


def processes_of(folder: Path) -> dict[int, str]:
    """Return the processes that have the folder in their environment or their command."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
            known = (entry / "environ").read_bytes() + command
        except OSError:
            continue
        if str(folder).encode() in known and int(entry.name) != os.getpid():
            found[int(entry.name)] = command.replace(b"\0", b" ").decode()
    return found


def component(up: Up, name: str) -> int:
    """Return the pid of the component: the child of `up` with an argument of that name, 0 if there is none."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            arguments = (entry / "cmdline").read_bytes().decode().replace("\0", " ").split()
        except OSError:
            continue
        if parent == up.process.pid and name in {Path(one).name for one in arguments}:
            return int(entry.name)
    return 0


def redis_password(up: Up) -> str:
    environ = Path(f"/proc/{component(up, 'api')}/environ").read_text()
    return re.search(r"redis://:([^@]{20,})@", environ)[1]


linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


class Api:
    """A stack's API with its key, both from cli.json as for other commands."""

    def __init__(self, up: Up) -> None:
        told = json.loads((up.data / "cli.json").read_text())
        self._url = told["url"]
        self._headers = {"Authorization": f"Bearer {told['api_key']}"}

    def ask(self, method: str, path: str, **options) -> httpx2.Response:
        return httpx2.request(method, self._url + path, headers=self._headers, **options)


def post_job(api: Api) -> str:
    rows = "".join(f"{n % 7},{n % 5},{int(n % 7 > 3)}\n" for n in range(200))
    api.ask("PUT", "/datasets/small", content=f"a,b,target\n{rows}".encode()).raise_for_status()
    spec = {"dataset": {"id": "small", "target": "target"}, "callbacks": {"early_stopping": None}}
    answer = api.ask("POST", "/jobs", json={**spec, "hyperparameters": {"epochs": 100_000, "xla": False}})
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


def job_of(api: Api, job_id: str):
    return api.ask("GET", f"/jobs/{job_id}").json()


@linux
def test_one_ctrl_c_ends_all_of_it_and_starting_again_finds_everything_as_it_was(make_up, tmp_path):
    up = make_up().start().ready()
    assert stat.S_IMODE((up.data / "cli.json").stat().st_mode) == 0o600
    url = up.url()
    assert httpx2.get(f"{url}/healthz").is_success
    assert not [command for command in processes_of(tmp_path).values() if redis_password(up) in command]
    api = Api(up)
    job_id = post_job(api)
    wait_for(lambda: (job_of(api, job_id)["progress"] or {}).get("epoch", 0) > 2, 60, saying="it trains")

    assert up.end() == 0
    assert not (up.data / "cli.json").exists()
    assert processes_of(tmp_path) == {}
    assert "stopped; the data stays in" in up.said()

    again = make_up().start().ready()
    api = Api(again)
    job = job_of(api, job_id)
    assert job["failures"][0]["outcome"] == "handed_back"
    wait_for(lambda: job_of(api, job_id)["status"] == "running", 30, saying="it goes on by itself")
    assert job_of(api, job_id)["attempt"] == 2
    api.ask("POST", f"/jobs/{job_id}/cancel").raise_for_status()
    wait_for(lambda: job_of(api, job_id)["status"] == "cancelled", 30)
    assert again.end(signal.SIGTERM) == 0


@linux
def test_in_the_background_and_without_redis_it_says_where_it_is_and_down_ends_it_gracefully(tmp_path):
    data = tmp_path / "data"

    def run(*arguments):
        command = [sys.executable, "-m", "fitstop.cli.main", *arguments, "--data", str(data)]
        done = subprocess.run(
            command, env=environment(FITSTOP_MLFLOW_URI="http://127.0.0.1:1"), cwd=tmp_path,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=START_SECONDS,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    try:
        code, said = run("up", "-d", "--no-redis", "--port", "0")
        told = json.loads((data / "cli.json").read_text())
        assert (code, told["url"] in said, str(data / "admin_key") in said) == (0, True, True), said
        assert told["api_key"] not in said
        code, said = run("up", "-d")
        assert (code, f"A service already runs on {data}" in said, told["url"] in said) == (0, True, True)
        api = Api(SimpleNamespace(data=data))
        job_id = post_job(api)
        wait_for(lambda: (job_of(api, job_id)["progress"] or {}).get("epoch", 0) > 2, 60, saying="it trains")
        assert not [command for command in processes_of(tmp_path).values() if "redis-server" in command]
        assert "no answer from http://127.0.0.1:1 (MLflow)" in (data / "logs" / "mlflow.log").read_text()
    finally:
        code, said = run("down")
    assert (code, "Stopped" in said) == (0, True), said
    assert processes_of(tmp_path) == {}
    job = Volume(data / "volume").job(job_id)
    assert job.attempts()[0].end().outcome == "handed_back"
    assert "No service runs" in run("down")[1]


@linux
def test_what_is_killed_comes_back_and_a_second_up_is_refused(make_up, tmp_path):
    up = make_up().start().ready()
    second = make_up().start()
    assert wait_for_end(second.process, 30) == 2
    assert f"already runs on {up.data}: {up.url()}" in second.said()

    for name in ("redis-server", "api"):
        before = component(up, name)
        os.kill(before, signal.SIGKILL)
        wait_for(lambda old=before, name=name: component(up, name) not in {0, old}, 20, saying=f"{name} is back")
    for line in ("Redis died (SIGKILL)", "Redis restarted", "the API died (SIGKILL)", "the API restarted"):
        wait_for(lambda line=line: line in up.said(), 10, saying=line)
    url = up.url()
    wait_for(lambda: healthy(url), 30, saying="the API answers again")
    api = Api(up)
    job_id = post_job(api)
    wait_for(lambda: job_of(api, job_id)["status"] == "running", 30, saying="workers are notified again")
    assert up.end(signal.SIGHUP) == 0


def healthy(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/healthz").is_success
    except httpx2.HTTPError:
        return False


@linux
def test_a_kill_of_up_itself_leaves_nothing_behind_and_the_folder_can_be_used_again(make_up, tmp_path):
    up = make_up().start()
    wait_for(lambda: component(up, "worker"), START_SECONDS, saying="everything was started")
    up.process.kill()
    up.process.wait()
    wait_for(lambda: not processes_of(tmp_path), 30, saying="all have ended")


def test_a_component_that_never_lives_is_given_up_with_its_last_words(make_up):
    # A plain file where the API and the worker need a folder.
    up = make_up()
    up.data.mkdir()
    (up.data / "volume").mkdir()
    (up.data / "volume" / "jobs").write_text("")
    up.start()
    assert wait_for_end(up.process, START_SECONDS) == 7
    assert "died 5 times" in up.said()
    # The words of the component that was the first to die five times.
    assert re.search(rf"File exists: '?{re.escape(str(up.data))}/volume/jobs", up.said())


def test_a_taken_port_that_was_named_is_a_usage_error(make_up):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        up = make_up("--port", str(taken.getsockname()[1])).start()
        assert wait_for_end(up.process, 30) == 2
    assert "is in use" in up.said()
    assert not up.data.exists()
