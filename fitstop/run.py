"""A job in Python: `run = fitstop.fit(...)`, `fitstop.submit(spec)` or `fitstop.attach(job_id)`."""

import importlib
import tempfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from fitstop.client import TERMINAL, Client, Json
from fitstop.connection import find_connection
from fitstop.errors import ClientError, JobFailed
from fitstop.metric_names import names_of
from fitstop.notebook.display import is_notebook, watch_in_notebook
from fitstop.notebook.html import Picture, picture_html
from fitstop.terminal.follow import follow
from fitstop.terminal.output import hint
from fitstop.terminal.watch import watch


class Run:
    """One job. Every property asks the service until the job has finished. The job runs without this object."""

    def __init__(self, client: Client, job_id: str) -> None:
        self.id = job_id
        self.client = client
        self._finished: Json | None = None

    def __repr__(self) -> str:
        return f"fitstop.attach({self.id!r})"

    def _repr_html_(self) -> str:
        """The HTML that a notebook shows for this object at the end of a cell."""
        job = self.job
        epochs = {int(row["epoch"]): row["metrics"] for row in self.client.all_epochs(self.id)}
        return picture_html(Picture(job, epochs, url=self.url))

    @property
    def job(self) -> Json:
        """The job's document, as in `GET /jobs/{id}`."""
        if self._finished is not None:
            return self._finished
        job = self.client.job(self.id)
        if job["status"] in TERMINAL:
            self._finished = job
        return job

    @property
    def url(self) -> str:
        """The URL of the job's page."""
        return f"{self.client.connection.url}/page/jobs/{self.id}"

    @property
    def status(self) -> str:
        """queued, running, succeeded, failed or cancelled."""
        return str(self.job["status"])

    @property
    def epoch(self) -> int:
        """The number of finished epochs."""
        return int((self.job.get("progress") or {}).get("epoch") or 0)

    @property
    def stop(self) -> Json | None:
        """Why training stopped, with the evidence; None while the job has not finished."""
        stop: Json | None = self.job.get("stop")
        return stop

    @property
    def ledger(self) -> Json | None:
        """What the job's compute time was used for, and its cost."""
        ledger: Json | None = self.job.get("ledger")
        return ledger

    @property
    def forecast(self) -> Json:
        """Where a running job will stop: `stop` with p10, p50 and p90, or None and the `reason`."""
        return self.client.forecast(self.id)

    @property
    def history(self) -> dict[str, list[float]]:
        """The metrics of each epoch so far, like Keras's `History.history`, with the names of the user's own model."""
        spec = self.job.get("spec") or {}
        rows = list(self.client.all_epochs(self.id))
        history = names_of(spec).history(rows)
        if (spec.get("callbacks") or {}).get("reduce_lr_on_plateau") and rows:
            history["learning_rate"] = [row["learning_rate"] for row in rows]
        return history

    def wait(self, timeout: float | None = None, *, verbose: bool = True) -> Self:
        """Wait until the job has finished, and meanwhile show it: in a notebook as HTML, else in the terminal.

        Ctrl-C ends only the waiting: the job continues. Raises JobFailed if the job fails, and TimeoutError if it has
        not finished after `timeout` seconds. `verbose=False` shows nothing.
        """
        try:
            self._watch(timeout, verbose=verbose)
        except KeyboardInterrupt:
            hint(f'The job continues to run. To wait for it again: run = fitstop.attach("{self.id}"); run.wait()')
            raise
        if self.status == "failed":
            raise JobFailed(self.job)
        return self

    def _watch(self, timeout: float | None, *, verbose: bool) -> None:
        if not verbose:
            for _ in follow(self.client, self.id, timeout=timeout):
                pass
        elif is_notebook():
            watch_in_notebook(self.client, self.id, timeout)
        else:
            watch(self.client, self.id, timeout)

    @property
    def evaluation(self) -> Json:
        """The evaluation of the best model on the `validation` rows, and on the `test` rows if there are any.

        Raises NotFound if there is no evaluation, or not yet.
        """
        return self.client.evaluation(self.id)

    def best_model_path(self, folder: str | Path = ".") -> Path:
        """Download the best model so far into `folder`, and return its path. Raises ClientError if there is none."""
        saved = self.client.checkpoints(self.id)["data"]
        best = next((one for one in saved if one["is_best"]), None)
        if best is None:
            raise ClientError(f"the job {self.id} has saved no model" + ("" if self._finished else " yet"))
        path = Path(folder) / str(best["name"])
        path.parent.mkdir(parents=True, exist_ok=True)
        self.client.download_checkpoint(self.id, best, path)
        return path

    def best_model(self) -> Any:
        """The best model so far, loaded with the Keras that is installed here. Raises what `best_model_path` raises."""
        keras = importlib.import_module("keras")
        with tempfile.TemporaryDirectory(prefix="fitstop-") as folder:
            return keras.models.load_model(self.best_model_path(folder))

    def training_log(self) -> str:
        """The content of `training_log.csv`, with Fitstop's names of metrics. Raises NotFound if there is no log."""
        return b"".join(self.client.training_log(self.id)).decode()

    def events(self) -> Iterator[Json]:
        """Every event so far, oldest first."""
        return self.client.all_events(self.id)

    def cancel(self) -> Self:
        """Cancel the job; its checkpoints are kept."""
        self.client.cancel(self.id)
        return self

    def extend(self, **changes: Any) -> "Run":
        """Continue the finished job as a new one: `epochs`, `early_stopping`, `budget`, `from_` ("last" or "best")."""
        asked = {name.rstrip("_"): value for name, value in changes.items()}
        return Run(self.client, self.client.extend(self.id, asked)["id"])

    def delete(self) -> None:
        """Delete the finished job with its models and logs."""
        self.client.delete(self.id)

    @cached_property
    def name(self) -> str:
        """The job's name."""
        return str(self.job["name"])


def open_client(client: Client | None, url: str | None) -> Client:
    """`client`; without it a client for `url`, or for the service that `find_connection` finds."""
    return client or Client(find_connection(url))


def attach(job_id: str, *, client: Client | None = None, url: str | None = None) -> Run:
    """The Run of a job that was submitted before, here or elsewhere. Raises NotFound for an unknown id.

    `client` or `url` selects the service; the default is the service that the command `fitstop` would use.
    """
    run = Run(open_client(client, url), job_id)
    _ = run.job
    return run


def submit(spec: Json, *, client: Client | None = None, url: str | None = None) -> Run:
    """Submit a job by its spec, and do not wait. Raises Refused with every problem of the spec."""
    opened = open_client(client, url)
    return Run(opened, opened.submit(spec)["id"])
