"""A client of an MLflow server's REST API: one run for each job, identified by a tag.

The server knows the last step of each metric, and only later epochs are sent. So an export that is repeated or was
interrupted sends each row once. The package `mlflow` is not used: it installs 30 others for six requests.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx2

from fitstop.client import Json
from fitstop.errors import Unreachable, error_of
from fitstop.export.rows import Row, seconds_of

TAG = "fitstop.job"
# The limits of one request.
_MOST_METRICS, _MOST_PARAMETERS, _MOST_TEXT = 1000, 100, 500
_MOST_RUNS = 1000
_API = "/api/2.0/mlflow"
_STATUS = {"succeeded": "FINISHED", "failed": "FAILED", "cancelled": "KILLED"}
# Characters that the name of a metric, parameter or tag must not have. A slash would create a folder.
_NOT_IN_A_NAME = re.compile(r"[^\w.\- :]")


@dataclass
class Run:
    """A job's run. `known`: the last step of each metric that MLflow has."""

    id: str
    known: dict[str, int] = field(default_factory=dict)

    @property
    def epoch(self) -> int:
        """The epoch up to which MLflow has every metric."""
        return min(self.known.values(), default=0)


@dataclass(frozen=True)
class Experiment:
    """An experiment. `created`: when it was created, in milliseconds since 1970."""

    id: str
    created: int


class MlflowServer:
    """A tracking server. Sends MLFLOW_TRACKING_TOKEN, or _USERNAME and _PASSWORD, with each request."""

    def __init__(self, url: str, environment: Mapping[str, str] = os.environ) -> None:
        self._url = url.rstrip("/")
        token, user = environment.get("MLFLOW_TRACKING_TOKEN"), environment.get("MLFLOW_TRACKING_USERNAME")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        auth = (user, environment.get("MLFLOW_TRACKING_PASSWORD", "")) if user and not token else None
        is_local = urlsplit(url).hostname in {"localhost", "127.0.0.1", "::1"}
        self._http = httpx2.Client(headers=headers, auth=auth, timeout=30, trust_env=not is_local)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def export(self, job: Json, rows: Iterable[Row], experiment: str) -> tuple[str, int]:
        """Update a job's run, and return the run's id and the number of rows that were sent.

        Raises Unreachable, and subclasses of `fitstop.errors.Answered` with the server's own message.
        """
        run = self.open_run(job, self.open_experiment(experiment))
        self.send_parameters(run, job)
        sent = self.send(run, rows)
        self.set_status(run, job)
        return run.id, sent

    def open_experiment(self, name: str) -> Experiment:
        """Find the experiment with that name, or create it. Raises as `export` does."""
        found = self._find_experiment(name)
        if found is None:
            answer = self._send("POST", "/experiments/create", json={"name": name})
            # If this failed, another export may have created it.
            found = self._find_experiment(name)
            if found is None:
                raise _error(answer)
        return found

    def _find_experiment(self, name: str) -> Experiment | None:
        answer = self._send("GET", "/experiments/get-by-name", params={"experiment_name": name})
        if answer.status_code == 404:
            return None
        found = _document(answer)["experiment"]
        return Experiment(found["experiment_id"], int(found.get("creation_time", 0)))

    def find_ended_jobs(self, experiment: Experiment) -> set[str]:
        """The ids of the jobs whose runs have ended, and so are complete, since the end is sent last."""
        # MLflow can compare only the id with a list, so this excludes one status.
        ended = "attributes.status != 'RUNNING'"
        asked: Json = {"experiment_ids": [experiment.id], "filter": ended, "max_results": _MOST_RUNS}
        found: set[str] = set()
        while True:
            page = self._post("/runs/search", asked)
            found |= {tag["value"] for run in page.get("runs", []) for tag in run["data"]["tags"] if tag["key"] == TAG}
            if not page.get("next_page_token"):
                return found
            asked["page_token"] = page["next_page_token"]

    def open_run(self, job: Json, experiment: Experiment) -> Run:
        """Find the run of a job, or create it. Raises as `export` does."""
        document = self._run_of(job, experiment.id)
        metrics = document["data"].get("metrics", [])
        return Run(document["info"]["run_id"], {one["key"]: int(one["step"]) for one in metrics})

    def set_status(self, run: Run, job: Json) -> None:
        """Send the job's status, and its end. Raises as `export` does."""
        ended = {"end_time": _milliseconds(job["finished_at"])} if job["finished_at"] else {}
        self._post("/runs/update", {"run_id": run.id, "status": _STATUS.get(job["status"], "RUNNING"), **ended})

    def _run_of(self, job: Json, experiment_id: str) -> Json:
        wanted = {"experiment_ids": [experiment_id], "filter": f"tags.`{TAG}` = '{job['id']}'", "max_results": 10}
        runs = sorted(self._post("/runs/search", wanted).get("runs", []), key=lambda one: str(one["info"]["run_id"]))
        # An exporter that was killed, and the next one, may both have created a run.
        for one in runs[1:]:
            self._post("/runs/delete", {"run_id": one["info"]["run_id"]})
        if runs:
            found: Json = runs[0]
            return found
        tags = {TAG: job["id"], "fitstop.project": job["project"], **job["spec"].get("metadata", {})}
        asked = {
            "experiment_id": experiment_id,
            "run_name": job["name"],
            "start_time": _milliseconds(job["started_at"] or job["created_at"]),
            "tags": [{"key": _name(key), "value": value} for key, value in tags.items()],
        }
        made: Json = self._post("/runs/create", asked)["run"]
        return made

    def send_parameters(self, run: Run, job: Json) -> None:
        """Send the values of a job's spec as parameters. They never change, so they may be sent again."""
        parameters = list(_parameters(job["spec"]))[:_MOST_PARAMETERS]
        self._post("/runs/log-batch", {"run_id": run.id, "params": parameters})

    def send(self, run: Run, rows: Iterable[Row]) -> int:
        """Send the steps of each metric that MLflow does not have; return the number of rows with something new.

        A row is in one request, which the server stores completely or not at all. Raises as `export` does.
        """
        metrics: list[Json] = []
        sent = 0
        for row in rows:
            new = [_metric(row, key, one) for key, one in row.values.items() if one is not None]
            new = [one for one in new if row.epoch > run.known.get(one["key"], -1)]
            sent += bool(new)
            if len(metrics) + len(new) > _MOST_METRICS:
                self._send_metrics(run, metrics)
                metrics = []
            metrics += new
        self._send_metrics(run, metrics)
        return sent

    def _send_metrics(self, run: Run, metrics: list[Json]) -> None:
        if metrics:
            self._post("/runs/log-batch", {"run_id": run.id, "metrics": metrics})
            run.known.update((one["key"], one["step"]) for one in metrics)

    def _post(self, path: str, body: Json) -> Json:
        return _document(self._send("POST", path, json=body))

    def _send(self, method: str, path: str, **options: Any) -> httpx2.Response:
        try:
            return self._http.request(method, f"{self._url}{_API}{path}", **options)
        except httpx2.HTTPError as error:
            raise Unreachable(f"no answer from {self._url} (MLflow): {error or type(error).__name__}") from error


def _document(answer: httpx2.Response) -> Json:
    if not answer.is_success:
        raise _error(answer)
    try:
        document: Json = answer.json()
    except ValueError:
        raise error_of(502, {"title": "that server is not an MLflow server"}) from None
    return document


def _error(answer: httpx2.Response) -> Exception:
    try:
        said = answer.json()
        words = {"title": "MLflow", "detail": f"MLflow answered {said['error_code']}: {said.get('message', '')}"}
    except (ValueError, KeyError, TypeError):
        words = {"title": f"MLflow answered {answer.status_code}"}
    return error_of(answer.status_code, words)


def _metric(row: Row, key: str, value: float) -> Json:
    return {"key": _name(key), "value": value, "timestamp": round(row.moment * 1000), "step": row.epoch}


def _parameters(value: Any, name: str = "") -> Iterator[Json]:
    """Yield each value of a spec, named by its path. Leaves out metadata, which become the run's tags."""
    if isinstance(value, dict):
        for key, one in value.items():
            if name or key != "metadata":
                yield from _parameters(one, f"{name}.{key}" if name else key)
    elif value is not None:
        text = value if isinstance(value, str) else json.dumps(value)
        if len(text) <= _MOST_TEXT:
            yield {"key": _name(name), "value": text}


def _name(text: str) -> str:
    return _NOT_IN_A_NAME.sub("_", text)


def _milliseconds(time: str) -> int:
    return round(seconds_of(time) * 1000)
