"""An MLflow server, by its REST API: one run for each job, found again by a tag.

The server knows the last step of each metric, and only later epochs are sent. So an export that is repeated, also after
it was interrupted, sends each row once. Not by the package `mlflow`: it brings 30 others for five requests.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx2

from fitstop.client import Json
from fitstop.errors import Unreachable, error_of
from fitstop.export.rows import Row, seconds_of

TAG = "fitstop.job"
# The limits of one request.
_MOST_METRICS, _MOST_PARAMETERS, _MOST_TEXT = 1000, 100, 500
_API = "/api/2.0/mlflow"
_STATUS = {"succeeded": "FINISHED", "failed": "FAILED", "cancelled": "KILLED"}


class MlflowServer:
    """A tracking server. MLFLOW_TRACKING_TOKEN, or _USERNAME and _PASSWORD, go with each request."""

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
        """Bring a job's run up to date. Returns the run's id and the number of rows that were sent.

        Raises Unreachable, and the errors of `fitstop.errors.Answered` with the server's own words.
        """
        run = self._run_of(job, self._experiment(experiment))
        run_id = run["info"]["run_id"]
        known = {one["key"]: int(one["step"]) for one in run["data"].get("metrics", [])}
        sent = self._send_rows(run_id, rows, known)
        ended = {"end_time": _milliseconds(job["finished_at"])} if job["finished_at"] else {}
        self._post("/runs/update", {"run_id": run_id, "status": _STATUS.get(job["status"], "RUNNING"), **ended})
        return run_id, sent

    def _experiment(self, name: str) -> str:
        found = self._find_experiment(name)
        if found is None:
            answer = self._send("POST", "/experiments/create", json={"name": name})
            # Another export may have been quicker.
            found = answer.json()["experiment_id"] if answer.is_success else self._find_experiment(name)
            if found is None:
                raise _error(answer)
        return found

    def _find_experiment(self, name: str) -> str | None:
        answer = self._send("GET", "/experiments/get-by-name", params={"experiment_name": name})
        if answer.status_code == 404:
            return None
        found: str = _document(answer)["experiment"]["experiment_id"]
        return found

    def _run_of(self, job: Json, experiment_id: str) -> Json:
        wanted = {"experiment_ids": [experiment_id], "filter": f"tags.`{TAG}` = '{job['id']}'", "max_results": 1}
        runs = self._post("/runs/search", wanted).get("runs")
        if runs:
            found: Json = runs[0]
            return found
        tags = {TAG: job["id"], "fitstop.project": job["project"], **job["spec"].get("metadata", {})}
        asked = {
            "experiment_id": experiment_id,
            "run_name": job["name"],
            "start_time": _milliseconds(job["started_at"] or job["created_at"]),
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        }
        made: Json = self._post("/runs/create", asked)["run"]
        # The values of a run's parameters never change, and the same ones may be sent again.
        parameters = list(_parameters(job["spec"]))[:_MOST_PARAMETERS]
        self._post("/runs/log-batch", {"run_id": made["info"]["run_id"], "params": parameters})
        return made

    def _send_rows(self, run_id: str, rows: Iterable[Row], known: Mapping[str, int]) -> int:
        """Send what is later than the `known` step of each metric; returns the number of rows with something new."""
        metrics: list[Json] = []
        sent = 0
        for row in rows:
            new = [_metric(row, key, one) for key, one in row.values.items() if one is not None]
            new = [one for one in new if row.epoch > known.get(one["key"], -1)]
            sent += bool(new)
            if len(metrics) + len(new) > _MOST_METRICS:
                self._post("/runs/log-batch", {"run_id": run_id, "metrics": metrics})
                metrics = []
            metrics += new
        if metrics:
            self._post("/runs/log-batch", {"run_id": run_id, "metrics": metrics})
        return sent

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
    document: Json = answer.json()
    return document


def _error(answer: httpx2.Response) -> Exception:
    try:
        said = answer.json()
        words = {"title": "MLflow", "detail": f"MLflow answered {said['error_code']}: {said.get('message', '')}"}
    except (ValueError, KeyError, TypeError):
        words = {"title": f"MLflow answered {answer.status_code}"}
    return error_of(answer.status_code, words)


def _metric(row: Row, key: str, value: float) -> Json:
    return {"key": key, "value": value, "timestamp": round(row.moment * 1000), "step": row.epoch}


def _parameters(value: Any, name: str = "") -> Iterator[Json]:
    """Every single value of a spec, under its place; metadata are the run's tags."""
    if isinstance(value, dict):
        for key, one in value.items():
            if name or key != "metadata":
                yield from _parameters(one, f"{name}.{key}" if name else key)
    elif value is not None:
        text = value if isinstance(value, str) else json.dumps(value)
        if len(text) <= _MOST_TEXT:
            yield {"key": name, "value": text}


def _milliseconds(time: str) -> int:
    return round(seconds_of(time) * 1000)
