"""Reads the forecast of a job that is watched: after new epochs, at most once a second."""

import time

from fitstop.client import Client, Json
from fitstop.errors import ClientError

LEAST_SECONDS = 1.0


class ForecastReader:
    """Remembers the last forecast, which is also used if the service has none."""

    def __init__(self, client: Client, least_seconds: float = LEAST_SECONDS) -> None:
        self._client = client
        self._least_seconds = least_seconds
        self._asked_at = float("-inf")
        self._epoch: int | None = None
        self._forecast: Json | None = None

    def of(self, job: Json) -> Json | None:
        """The newest forecast of a running job; None for any other."""
        progress = job.get("progress")
        if job.get("status") != "running" or not progress:
            return None
        if progress["epoch"] != self._epoch and time.monotonic() - self._asked_at >= self._least_seconds:
            self._asked_at, self._epoch = time.monotonic(), progress["epoch"]
            self._forecast = self._ask(job["id"])
        return self._forecast

    def _ask(self, job_id: str) -> Json | None:
        try:
            return self._client.forecast(job_id)
        except ClientError:
            return self._forecast
