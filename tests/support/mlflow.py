"""MLflow servers: a fake one that stores what a sender needs, and the real one."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2

from tests.support.redis import free_port
from tests.support.waiting import wait_for

ROOT = "/api/2.0/mlflow"
PATHS = ("experiments/create", "runs/search", "runs/create", "runs/log-batch", "runs/update", "runs/delete")


class FakeMlflow:
    """Keeps runs by id. `cut`: numbers of requests without an answer, cut `before` or `after` they are carried out."""

    def __init__(self, canned):
        self.experiments, self.runs = {}, {}
        self.requests, self.cut, self.cuts = 0, {}, 0
        canned.on("GET", f"{ROOT}/experiments/get-by-name", lambda asked: self.answer(self.find, asked.query))
        for path in PATHS:
            act = getattr(self, re.sub(r"[/-]", "_", path))
            canned.on("POST", f"{ROOT}/{path}", lambda asked, act=act: self.answer(act, json.loads(asked.body)))

    def answer(self, act, asked):
        self.requests += 1
        how = self.cut.get(self.requests)
        self.cuts += how is not None
        if how == "before":
            return None, b""
        answer = act(asked)
        return (None, b"") if how == "after" else answer

    def find(self, query):
        name = query["experiment_name"]
        if name not in self.experiments:
            return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "none"}
        return 200, {"experiment": {"experiment_id": self.experiments[name], "creation_time": 1}}

    def experiments_create(self, body):
        if body["name"] in self.experiments:
            return 400, {"error_code": "RESOURCE_ALREADY_EXISTS", "message": "there"}
        self.experiments[body["name"]] = "7"
        return 200, {"experiment_id": "7"}

    def runs_search(self, body):
        job = re.search(r"tags.`fitstop.job` = '(\w+)'", body["filter"])
        assert job or body["filter"] == "attributes.status != 'RUNNING'"
        found = [one for one in self.active() if (one["job"] == job[1] if job else one["status"] != "RUNNING")]
        return 200, {"runs": [self.shown(one) for one in found]}

    def active(self):
        return [one for one in self.runs.values() if not one["is_deleted"]]

    def shown(self, run):
        latest = {key: step for key, step, _ in sorted(run["metrics"], key=lambda one: one[1])}
        metrics = [{"key": key, "step": step} for key, step in latest.items()]
        tags = [{"key": "fitstop.job", "value": run["job"]}]
        return {"info": {"run_id": run["id"]}, "data": {"metrics": metrics, "tags": tags}}

    def runs_create(self, body):
        tags = {one["key"]: one["value"] for one in body["tags"]}
        run = {"id": f"run{len(self.runs)}", "job": tags["fitstop.job"], "tags": tags, "status": "RUNNING"}
        run |= {"metrics": [], "params": {}, "is_deleted": False, "end_time": None}
        self.runs[run["id"]] = run
        return 200, {"run": self.shown(run)}

    def runs_log_batch(self, body):
        run = self.runs[body["run_id"]]
        if run["is_deleted"]:
            return 400, {"error_code": "INVALID_PARAMETER_VALUE", "message": "the run must be active"}
        run["params"].update((one["key"], one["value"]) for one in body.get("params", []))
        run["metrics"] += [(one["key"], one["step"], one["value"]) for one in body.get("metrics", [])]
        return 200, {}

    def runs_update(self, body):
        self.runs[body["run_id"]].update(status=body["status"], end_time=body.get("end_time"))
        return 200, {}

    def runs_delete(self, body):
        self.runs[body["run_id"]]["is_deleted"] = True
        return 200, {}


class RealMlflow:
    """MLflow's own server on SQLite, run by the Python of an environment in which MLflow is installed."""

    def __init__(self, python: Path, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = [
            str(python), "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db",
            "--artifacts-destination", str(folder / "artifacts"), "--host", "127.0.0.1", "--port", str(self.port),
            "--workers", "1",
        ]  # fmt: skip
        self._environment = {**os.environ, "PATH": f"{python.parent}:{os.environ['PATH']}"}
        self._log = folder / "mlflow.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )
        wait_for(self._answers, 180, every=0.2, saying=f"MLflow answers, see {self._log}")

    def kill(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def runs(self, job_id: str) -> list[dict[str, Any]]:
        """The active runs of a job."""
        experiment = self._ask("GET", "experiments/get-by-name", params={"experiment_name": "fitstop"})["experiment"]
        asked = {"experiment_ids": [experiment["experiment_id"]], "filter": f"tags.`fitstop.job` = '{job_id}'"}
        return self._ask("POST", "runs/search", json=asked).get("runs", [])

    def steps(self, run_id: str, key: str) -> list[tuple[int, float]]:
        """Step and value of each entry of a metric, in the order of the server."""
        asked = {"run_id": run_id, "metric_key": key, "max_results": 25_000}
        found = self._ask("GET", "metrics/get-history", params=asked)
        return [(int(one["step"]), float(one["value"])) for one in found.get("metrics", [])]

    def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        answer = httpx2.request(method, f"{self.url}{ROOT}/{path}", timeout=60, **options)
        answer.raise_for_status()
        return answer.json()

    def _answers(self) -> bool:
        with contextlib.suppress(httpx2.HTTPError):
            return httpx2.get(f"{self.url}/health", timeout=60).is_success
        return False


def install_mlflow(folder: Path) -> Path:
    """Make an environment with MLflow in `folder`, and return its Python."""
    python = folder / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", "mlflow"], check=True)
    return python
