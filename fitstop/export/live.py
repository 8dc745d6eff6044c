"""Sends the log of every job to an MLflow server while the jobs run: `fitstop export mlflow --live`.

It stores nothing. The server knows the last step of each run, which runs have ended, and when the experiment was
created. Jobs that were unfinished then, or were posted later, are sent. So the process may be killed at any moment, and
the next one continues.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

from fitstop.client import TERMINAL, Client, Json
from fitstop.errors import ClientError, NotFound, Refused
from fitstop.export.mlflow import Experiment, MlflowServer, Run
from fitstop.export.rows import RowReader

LOOK_SECONDS = 2.0
_MOST_PAUSE_SECONDS = 60.0
# A key may make 100 requests a second, and a running job needs three.
_JOBS_PER_SECOND = 20
# Maximum jobs that do not run to check in each round.
_MOST_IN_TURN = 20
# Maximum difference between the clocks of two hosts.
_OVERLAP = timedelta(minutes=5)


@dataclass
class _Followed:
    """A job with a run in MLflow, and the last epoch that was sent."""

    run: Run
    rows: RowReader
    epoch: int


class LiveExport:
    """Sends what is new at each `look`. `report` is called with a sentence about a job that cannot be sent."""

    def __init__(self, client: Client, server: MlflowServer, name: str, report: Callable[[str], None]) -> None:
        self._client = client
        self._server = server
        self._name = name
        self._report = report
        self._experiment: Experiment | None = None
        self._since = datetime.now(UTC)
        self._settled: set[str] = set()
        # The jobs whose end was not sent; None for a job without a run in MLflow.
        self._unsettled: dict[str, _Followed | None] = {}
        self._refused: set[str] = set()

    def run(self) -> None:
        """Call `look` repeatedly until a KeyboardInterrupt; less often while the service or MLflow fails."""
        pause, trouble = LOOK_SECONDS, ""
        while True:
            try:
                jobs = self.look()
            except Exception as error:
                # The edge of the process: after any error, the next look starts from what MLflow has.
                pause = min(2 * pause, _MOST_PAUSE_SECONDS)
                said = str(error) if isinstance(error, ClientError) else repr(error)
                if said != trouble:
                    self._report(f"{said}; trying again")
                trouble, self._experiment = said, None
            else:
                if trouble:
                    self._report("sending again")
                pause, trouble = max(LOOK_SECONDS, jobs / _JOBS_PER_SECOND), ""
            time.sleep(pause)

    def look(self) -> int:
        """Send every new epoch, and the end of jobs that have finished. Return the number of running jobs.

        Raises ClientError if the service or MLflow does not answer, or refuses the key. Then call it again.
        """
        if self._experiment is None:
            self._begin()
        running = {job["id"]: job for job in self._client.all_jobs(status="running")}
        self._add(running.values())
        self._find_new()
        for job in running.values():
            self._try(job)
        for job_id in self._choose_others(running):
            self._look_at(job_id)
        return len(running)

    def _begin(self) -> None:
        experiment = self._server.open_experiment(self._name)
        self._settled |= self._server.find_ended_jobs(experiment)
        self._since = datetime.fromtimestamp(experiment.created / 1000, UTC)
        self._add(self._client.all_jobs(status="queued"))
        self._experiment = experiment

    def _find_new(self) -> None:
        asked = (self._since - _OVERLAP).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        jobs = list(self._client.all_jobs(created_after=asked))
        self._add(jobs)
        self._since = max([self._since, *(datetime.fromisoformat(job["created_at"]) for job in jobs)])

    def _add(self, jobs: Iterable[Json]) -> None:
        for job in jobs:
            if job["id"] not in self._settled:
                self._unsettled.setdefault(job["id"], None)

    def _choose_others(self, running: dict[str, Json]) -> list[str]:
        """The jobs that no longer run, and in turn some of those that have not run yet."""
        ended = [job_id for job_id, followed in self._unsettled.items() if followed and job_id not in running]
        others = (job_id for job_id, followed in self._unsettled.items() if not followed and job_id not in running)
        turn = list(islice(others, _MOST_IN_TURN))
        for job_id in turn:
            self._unsettled[job_id] = self._unsettled.pop(job_id)
        return ended + turn

    def _look_at(self, job_id: str) -> None:
        try:
            job = self._client.job(job_id)
        except NotFound:
            self._settle(job_id)
            return
        if self._try(job) and job["status"] in TERMINAL:
            self._settle(job_id)

    def _settle(self, job_id: str) -> None:
        self._settled.add(job_id)
        del self._unsettled[job_id]

    def _try(self, job: Json) -> bool:
        """Send new rows of a job; False if a request about it was refused. The next look tries again."""
        try:
            self._send(job)
        except (NotFound, Refused) as error:
            # The run, the experiment or the job may have been deleted.
            self._unsettled[job["id"]] = None
            self._experiment = None
            if job["id"] not in self._refused:
                self._report(f"{job['id']} could not be sent: {error}")
            self._refused.add(job["id"])
            return False
        self._refused.discard(job["id"])
        return True

    def _send(self, job: Json) -> None:
        epoch, is_over = (job["progress"] or {}).get("epoch", 0), job["status"] in TERMINAL
        followed = self._unsettled[job["id"]]
        if followed is None:
            if not (epoch or is_over):
                return
            followed = self._unsettled[job["id"]] = self._open(job)
        if epoch > followed.epoch or is_over:
            self._server.send(followed.run, followed.rows.read(followed.run.epoch))
            followed.epoch = epoch
        if is_over:
            self._server.set_status(followed.run, job)

    def _open(self, job: Json) -> _Followed:
        assert self._experiment is not None, "look has opened it"
        run = self._server.open_run(job, self._experiment)
        self._server.send_parameters(run, job)
        return _Followed(run, RowReader(self._client, job), run.epoch)
