"""The Python client: one method for each request of the API. It returns JSON, and raises `fitstop.errors`.

with Client(find_connection()) as client:
    job = client.submit({"dataset": {"id": "wine-quality", "target": "quality", "positive": {"at_least": 6}}})
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2

from fitstop.errors import NotFound
from fitstop.resumable import RESUMABLE_BYTES, ResumableUpload
from fitstop.sweep_requests import SweepRequests
from fitstop.transport import Json, check_download, path_of, pieces_of, read_all
from fitstop.upload import Sendable, open_upload

__all__ = ["TERMINAL", "Client", "Json"]

TERMINAL = frozenset({"succeeded", "failed", "cancelled"})

# The service parses an upload before it answers, which takes a maximum of five minutes for each GiB.
_PARSE_SECONDS = 360


class Client(SweepRequests):
    """A client of one service, for one thread. Close it, or use it in a `with` statement."""

    # The service

    def healthy(self) -> bool:
        """Whether the API answers, with or without workers."""
        try:
            return self._http.get("/healthz", timeout=3).is_success
        except httpx2.HTTPError:
            return False

    def ready(self) -> Json:
        """Whether a job posted now would run: `status`, and `checks` by subject, each with `ok` and `detail`."""
        return self._document_of(self._request("GET", "/readyz"))

    def workers(self) -> Json:
        """The list of workers, each with its `status`."""
        return self._get("workers")

    def limits(self) -> Json:
        """The limits of the service, by subject."""
        return self._get("limits")

    def sign_in_address(self) -> str:
        """An address of the page that logs one browser in with our key, once, within ten minutes."""
        code = self._json("POST", "/page/codes")["code"]
        # After the #, which a browser does not send, so that no log and no other site contains it.
        return f"{self.connection.url}/page/sign-in#code={quote(code, safe='')}"

    # Keys

    def create_key(self, name: str, scope: str, expires_in_days: int | None = None, project: str | None = None) -> Json:
        """Create an API key; only this answer contains it, as `key`. Without a project it is for `default`."""
        asked: Json = {"name": name, "scope": scope, "expires_in_days": expires_in_days}
        if project is not None:
            asked["project"] = project
        return self._json("POST", "/keys", json=asked)

    def keys(self) -> Json:
        """The list of keys, with expired and revoked ones."""
        return self._get("keys")

    def revoke_key(self, key_id: str) -> Json:
        """Revoke a key."""
        return self._json("POST", path_of("keys", key_id, "revoke"))

    # Webhooks

    def create_webhook(self, address: str, events: Sequence[str], **more: Any) -> Json:
        """Create a webhook; only this answer contains its `secret`. `more`: name, job_name, metadata."""
        return self._json("POST", "/webhooks", json={"address": address, "events": list(events), **more})

    def webhooks(self) -> Json:
        """The list of webhooks."""
        return self._get("webhooks")

    def webhook(self, webhook_id: str) -> Json:
        """One webhook and its last `deliveries`, newest first."""
        return self._get("webhooks", webhook_id)

    def test_webhook(self, webhook_id: str) -> Json:
        """Send a test; returns its delivery, which `webhook` shows again."""
        return self._json("POST", path_of("webhooks", webhook_id, "test"))

    def delete_webhook(self, webhook_id: str) -> None:
        """Delete a webhook, with its undelivered messages."""
        self._delete(path_of("webhooks", webhook_id))

    def queue(self) -> Json:
        """The head of the queue, each job with the reason why it waits."""
        return self._get("queue", limit=1000)

    # Datasets

    def put_dataset(  # noqa: PLR0913  one argument for each choice of an upload
        self,
        dataset_id: str,
        path: Path | Sendable,
        name: str | None = None,
        missing_values: str | None = None,
        column_kinds: Sequence[str] = (),
        *,
        on_sent: Callable[[int, int], None] | None = None,
    ) -> Json:
        """Upload a table, images or arrays. Uploading the same bytes again changes nothing.

        Raises Refused (conflict) if the dataset exists with other bytes. A folder of images is packed as a tar while it
        is sent; raises Unsendable if it cannot be packed. A large upload resumes after a lost connection, or when it is
        sent again after a restart.

        `missing_values`: cells to read as missing values, separated by commas. `column_kinds`: NAME:KIND, with the kind
        text, number or datetime. `on_sent` is called with the number of bytes sent so far, and the total.
        """
        asked = {} if missing_values is None else {"missing_values": missing_values}
        upload = open_upload(path) if isinstance(path, Path) else path
        place = path_of("datasets", dataset_id)
        params = {"name": name or upload.name, "column_kinds": list(column_kinds), **asked}
        if upload.size >= RESUMABLE_BYTES:
            with suppress(NotFound):  # a service of an earlier version has no such route
                return ResumableUpload(self._send, place, params, upload, _parse_timeout(upload)).send(on_sent)
        return self._put(place, params, upload, on_sent)

    def dataset_images(self, dataset_id: str, class_name: str | None = None, limit: int = 24) -> Json:
        """Some images of a dataset, each with a `thumbnail` as a data URI."""
        return self._get("datasets", dataset_id, "images", **{"limit": limit, "class": class_name})

    def datasets(self) -> Json:
        """The list of datasets."""
        return self._get("datasets")

    def dataset(self, dataset_id: str) -> Json:
        """One dataset: its kind, its profile, its rows and sha256."""
        return self._get("datasets", dataset_id)

    def delete_dataset(self, dataset_id: str) -> None:
        """Remove a dataset that no unfinished job uses."""
        self._delete(path_of("datasets", dataset_id))

    # Weights of models

    def put_model(
        self,
        weights_id: str,
        path: Path,
        name: str | None = None,
        *,
        on_sent: Callable[[int, int], None] | None = None,
    ) -> Json:
        """Upload weights: a `.weights.h5`, `.keras` or `.h5` file. Uploading the same bytes again changes nothing.

        Raises Refused (conflict) if the weights exist with other bytes. `name`: the file's name, for people. `on_sent`
        as in `put_dataset`.
        """
        place = path_of("models", weights_id)
        return self._put(place, {"name": name}, open_upload(path), on_sent, "application/octet-stream")

    def models(self, *, limit: int = 100, after: str | None = None) -> Json:
        """One page of the uploaded weights, by their ids; `after` is the last id of the page before it."""
        return self._get("models", limit=limit, after=after)

    def all_models(self) -> Iterator[Json]:
        """All uploaded weights by their ids, page by page."""
        return read_all(lambda after: self.models(after=after), None)

    def model(self, weights_id: str) -> Json:
        """Uploaded weights: their size and sha256."""
        return self._get("models", weights_id)

    def delete_model(self, weights_id: str) -> None:
        """Remove weights that no unfinished job uses."""
        self._delete(path_of("models", weights_id))

    # Programs

    def put_program(
        self, program_id: str, upload: Sendable, *, on_sent: Callable[[int, int], None] | None = None
    ) -> Json:
        """Upload a script, or a packed folder, as the latest version of a program, and return the version.

        The same files are always the same version. `on_sent` as in `put_dataset`.
        """
        params = {"name": upload.name} if upload.name.endswith(".py") else {}
        return self._put(path_of("programs", program_id), params, upload, on_sent)

    def program(self, program_id: str, version: str | None = None) -> Json:
        """A version of a program, by default the latest: its files, size and entry, and the other versions."""
        return self._get("programs", program_id, version=version)

    def all_programs(self) -> Iterator[Json]:
        """Every program by its id with its latest version, page by page."""
        return read_all(lambda after: self._get("programs", limit=100, after=after), None)

    def delete_program(self, program_id: str) -> None:
        """Remove a program, with all versions, that no unfinished job uses."""
        self._delete(path_of("programs", program_id))

    # Jobs

    def submit(self, spec: Json) -> Json:
        """Post a job. Raises Refused with every problem of the spec.

        If the connection breaks, it is posted again with the same Idempotency-Key, so it creates one job.
        """
        return self._post_once("/jobs", spec)

    def extend(self, job_id: str, changes: Json) -> Json:
        """Continue a finished job as a new job. Repeats and raises as `submit` does."""
        return self._post_once(path_of("jobs", job_id, "extend"), changes)

    def dry_run(self, spec: Json) -> Json:
        """What would run: the spec with every default, the task and its size. Stores nothing. Raises as `submit`."""
        return self._json("POST", "/jobs", params={"dry_run": "true"}, json=spec)

    def retry(self, job_id: str) -> Json:
        """Post the spec of a job that has failed or was cancelled as a new job."""
        return self._json("POST", path_of("jobs", job_id, "retry"))

    def delete(self, job_id: str) -> None:
        """Delete a finished job with its models and logs."""
        self._delete(path_of("jobs", job_id))

    def jobs(self, *, limit: int = 100, after: str | None = None, **filters: Any) -> Json:
        """One page of the jobs, newest first; `after` is `next` of the page before it.

        `filters` are those of GET /jobs, such as `status`, `name`, `search`, `sort`, or `metadata.NAME`.
        """
        return self._get("jobs", limit=limit, after=after, **filters)

    def all_jobs(self, **filters: Any) -> Iterator[Json]:
        """Every job that matches the filters of `jobs`, page by page: newest first, or in the order of `sort`."""
        return read_all(lambda after: self.jobs(after=after, **filters), None)

    def job(self, job_id: str) -> Json:
        """A job."""
        return self._one_job("GET", job_id)

    def cancel(self, job_id: str) -> Json:
        """Cancel a job; its checkpoints are kept."""
        return self._json("POST", path_of("jobs", job_id, "cancel"))

    def change(self, job_id: str, changes: Json) -> Json:
        """Change a job's `tags` (or `add_tags`, `remove_tags`) and `note`, and return the job."""
        return self._one_job("PATCH", job_id, json=changes)

    def _one_job(self, method: str, job_id: str, **options: Any) -> Json:
        document = self._json(method, path_of("jobs", job_id), **options)
        if "id" not in document:
            raise self._no_service()
        return document

    def create_share(self, job_id: str, expires_in_days: int | None = None) -> Json:
        """Create a link that shows one job; only this answer contains its `token`, and `url`, a path with it."""
        return self._json("POST", path_of("jobs", job_id, "shares"), json={"expires_in_days": expires_in_days})

    def shares(self, job_id: str) -> Json:
        """The list of links to a job."""
        return self._get("jobs", job_id, "shares")

    def revoke_share(self, job_id: str, share_id: str) -> None:
        """Revoke a link to a job."""
        self._delete(path_of("jobs", job_id, "shares", share_id))

    def explain(self, job_id: str) -> Json:
        """Why the job waits, runs or stopped: `sentences`, and `text`."""
        return self._get("jobs", job_id, "explain")

    def forecast(self, job_id: str) -> Json:
        """Where a running job will stop: `stop` with p10, p50 and p90, or None and the `reason`."""
        return self._get("jobs", job_id, "forecast")

    def replay(self, job_id: str, settings: Json) -> Json:
        """The effect of other settings of early stopping. Raises Refused for settings that are not valid."""
        return self._json("POST", path_of("jobs", job_id, "replay"), json=settings)

    def patience(self, job_ids: list[str], *, most: int = 30, tolerance: float = 0.0) -> Json:
        """What each patience would have saved and lost in past jobs; in the newest jobs if none are named."""
        return self._get("replay", "patience", most=most, tolerance=tolerance, jobs=",".join(job_ids) or None)

    def usage(self, by: str = "day", first: str | None = None, last: str | None = None) -> Json:
        """The compute time of finished jobs, in groups; `first` and `last` are days such as 2026-11-23."""
        return self._get("usage", **{"by": by, "from": first, "to": last})

    def all_epochs(self, job_id: str, after: int = 0) -> Iterator[Json]:
        """Every epoch's row after the epoch `after`, oldest first, page by page."""
        return read_all(
            lambda last: self._get("jobs", job_id, "epochs", after=last, limit=10_000), after, cursor="epoch"
        )

    def events(self, job_id: str, after: str | None = None, limit: int = 1000) -> Json:
        """One page of a job's events, oldest first, after the cursor `after`; `next` is the cursor after them."""
        return self._get("jobs", job_id, "events", limit=limit, after=after)

    def all_events(self, job_id: str, after: str | None = None) -> Iterator[Json]:
        """Every event of a job after the cursor `after`, oldest first."""
        while True:
            page = self.events(job_id, after)
            yield from page["data"]
            if not page["has_more"] or page["next"] == after:
                return
            after = page["next"]

    def output(self, job_id: str, after: str | None = None, lines: int | None = None) -> Json:
        """One page of the output of the training processes, oldest first, after the cursor `after`; or the last lines.

        `next` is the cursor after it. Each piece of `data` is text of one attempt.
        """
        asked = {"after": after, "lines": lines}
        return self._json(
            "GET", path_of("jobs", job_id, "output"), params=asked, headers={"Accept": "application/json"}
        )

    def checkpoints(self, job_id: str) -> Json:
        """The list of a job's checkpoints with bytes, sha256 and metrics."""
        return self._get("jobs", job_id, "checkpoints")

    def evaluation(self, job_id: str) -> Json:
        """The evaluation of the best model on rows that it was not trained on. Raises NotFound if there is none."""
        return self._get("jobs", job_id, "evaluation")

    def system(self, job_id: str, points: int | None = None) -> Json:
        """The job's use of its machine: a maximum of `points` samples, oldest first, and the `finding`."""
        return self._get("jobs", job_id, "system", points=points or None)

    def training_log(self, job_id: str) -> Iterator[bytes]:
        """The bytes of `training_log.csv`, in pieces. Raises Damaged at the end if some are missing."""
        received = 0
        with self._stream(path_of("jobs", job_id, "training_log.csv")) as response:
            for piece in pieces_of(response):
                received += len(piece)
                yield piece
            check_download(response.headers, received)

    def download_checkpoint(self, job_id: str, checkpoint: Json, to: Path) -> None:
        """Download a checkpoint (one of `checkpoints`) to `to`, completely or not at all.

        Raises Damaged if its length or its sha256 is not the recorded one; then `to` does not change.
        """
        self._download(path_of("jobs", job_id, "checkpoints", checkpoint["name"]), to, checkpoint["sha256"])

    def files(self, job_id: str) -> Json:
        """The list of the files that a job's script has written, with path, bytes and time of change."""
        return self._get("jobs", job_id, "files")

    def download_file(self, job_id: str, path: str, to: Path) -> None:
        """Download a file (one of `files`) to `to`, completely or not at all."""
        self._download(path_of("jobs", job_id, "files", *path.split("/")), to)

    def download_bundle(self, job_id: str, to: Path) -> None:
        """Download the bundle to `to`, completely or not at all.

        Raises Damaged if the length or digest is not the announced one, or if it is not a zip file.
        """
        self._download(path_of("jobs", job_id, "bundle.zip"), to, is_zip=True)

    def _put(
        self,
        place: str,
        params: Json,
        upload: Sendable,
        on_sent: Callable[[int, int], None] | None,
        media_type: str | None = None,
    ) -> Json:
        return self._json(
            "PUT",
            place,
            params=params,
            content=upload.pieces(on_sent),
            headers={"Content-Type": media_type or upload.media_type, "Content-Length": str(upload.size)},
            timeout=_parse_timeout(upload),
        )


def _parse_timeout(upload: Sendable) -> httpx2.Timeout:
    return httpx2.Timeout(_PARSE_SECONDS * (1 + upload.size // 1024**3), connect=5)
