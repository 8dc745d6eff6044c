"""Posts, cancels and reads jobs and uploads data through two APIs. Like a client, it tries again."""

import hashlib
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx2

from proofs.chaos import work
from proofs.chaos.stand import Stand
from tests.support.keys import AUTHORIZATION

_CANCELLED_SHARE = 0.15
_TERMINAL = {"succeeded", "failed", "cancelled"}
# The answers for a full disk and an unavailable volume. Every other status above 499 is a fault of the API.
_EXCUSED = {503, 507}


@dataclass(frozen=True)
class Cancel:
    """A cancel that is due at `at`, or with `when_running` as soon after that as the job is no longer queued."""

    job: str
    at: float
    when_running: bool


class Customer:
    """The thread of a client. `may_post` returns how many jobs may have been posted by now."""

    def __init__(
        self, stand: Stand, chance: random.Random, load: work.Load, jobs: int, may_post: Callable[[], float]
    ) -> None:
        self._record = stand.record
        self._clients = [httpx2.Client(base_url=url, headers=AUTHORIZATION, timeout=10) for url in stand.urls]
        self._chance = chance
        self._load = load
        self._jobs = jobs
        self._may_post = may_post
        self._posted: list[str] = []
        self._uploads = 0
        self._cancels: list[Cancel] = []
        self._shown: dict[str, int] = {}
        self._ended: dict[str, str] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._live, name="customer")

    def begin(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._over.set()
        self._thread.join()
        self.close()

    def close(self) -> None:
        """Close the connections, for a customer that was never started."""
        for client in self._clients:
            client.close()

    def has_posted_all(self) -> bool:
        return len(self._posted) >= self._jobs and not self._cancels

    def upload(self) -> None:
        """Upload the data that all jobs train on."""
        assert self._put(work.DATASET, self._load.dataset_csv()), "the data is taken"

    def post(self, spec: dict[str, Any]) -> str | None:
        """Post a job and return its id; None if it was not acknowledged."""
        answer = self._ask("POST", "/jobs", json=spec)
        if answer is None:
            return None
        job_id = str(answer["id"])
        self._record.write("acknowledged", job=job_id, name=spec["name"])
        return job_id

    def _live(self) -> None:
        while not self._over.wait(0.1):
            number = len(self._posted)
            if number < self._jobs and number < self._may_post():
                self._post_next(number)
                self._upload_another()
            self._cancel_due()
            if self._posted:
                self._look_at(self._chance.choice(self._posted))

    def _upload_another(self) -> None:
        """Upload a dataset with a new name and new bytes. If it is acknowledged, it must exist from then on."""
        self._uploads += 1
        content = work.other_csv(self._uploads)
        name = f"other-{self._uploads}"
        if self._put(name, content):
            self._record.write("uploaded", dataset=name, sha256=hashlib.sha256(content).hexdigest())

    def _put(self, name: str, content: bytes) -> bool:
        headers = {"Content-Type": "text/csv"}
        return self._ask("PUT", f"/datasets/{name}", content=content, headers=headers, timeout=60) is not None

    def _post_next(self, number: int) -> None:
        kind = number % len(self._load.specs)
        job_id = self.post(self._load.named(kind, number))
        if job_id is None:
            return
        self._posted.append(job_id)
        if self._chance.random() < _CANCELLED_SHARE:
            at = time.monotonic() + self._chance.uniform(0, 8)
            self._cancels.append(Cancel(job_id, at, when_running=self._chance.random() < 0.6))

    def _cancel_due(self) -> None:
        for cancel in list(self._cancels):
            if not self._is_due(cancel):
                continue
            if self._ask("POST", f"/jobs/{cancel.job}/cancel") is not None:
                self._record.write("cancelled", job=cancel.job)
            elif not self._is_over(cancel.job):
                continue
            self._cancels.remove(cancel)

    def _is_over(self, job_id: str) -> bool:
        """Whether a job has ended. It then refuses a cancel, which came too late."""
        shown = self._ask("GET", f"/jobs/{job_id}")
        return shown is not None and shown["status"] in _TERMINAL

    def _is_due(self, cancel: Cancel) -> bool:
        if time.monotonic() < cancel.at:
            return False
        if not cancel.when_running:
            return True
        shown = self._ask("GET", f"/jobs/{cancel.job}")
        return shown is not None and shown["status"] != "queued"

    def _look_at(self, job_id: str) -> None:
        shown = self._ask("GET", f"/jobs/{job_id}")
        if shown is None:
            return
        status = shown["status"]
        if job_id in self._ended and status != self._ended[job_id]:
            self._record.write("reverted", job=job_id, before=self._ended[job_id], after=status)
        if status in _TERMINAL:
            self._ended[job_id] = status
        attempt = shown["attempt"] or 0
        if attempt < self._shown.get(job_id, 0):
            self._record.write("backwards", job=job_id, before=self._shown[job_id], after=attempt)
        self._shown[job_id] = attempt

    def _ask(self, method: str, path: str, **body: Any) -> dict[str, Any] | None:
        """Send a request and return the document of a good answer; None for any other answer, or without an answer."""
        try:
            answer = self._chance.choice(self._clients).request(method, path, **body)
        except httpx2.HTTPError as error:
            self._record.write("unanswered", path=path, error=type(error).__name__)
            return None
        if answer.status_code >= 400:
            excused = answer.status_code in _EXCUSED
            self._record.write("refused", method=method, path=path, status=answer.status_code, excused=excused)
            return None
        try:
            document: dict[str, Any] = answer.json()
        except ValueError:
            self._record.write("half_answer", path=path, body=answer.text[:200])
            return None
        return document
