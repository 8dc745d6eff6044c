"""`Idempotency-Key` on POST /jobs and POST /sweeps: a repeated post creates only one job or sweep.

idempotency/<aa>/<digest>.json   the id, and a hash of the body; the digest is that of the API key's id and of this key

The record is created exclusively, and contains the job's id before the job is stored. So of several concurrent posts
one chooses the id, and all answer with it. If the process is killed between the record and the job, the next post finds
the record without its job, and stores the job with that id, again exclusively. A record is kept for at least 24 hours.
Old ones are removed once an hour, by the first process that creates a record in the hour.
"""

import json
import logging
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from flask import request

from api.auth.access import caller
from api.auth.project_quotas import check_job
from api.auth.quotas import admit_job
from api.http.operation import text
from api.http.problems import HttpProblem
from api.state.service import service
from shared.document import Document, UnusableDocument, read_document
from shared.durable import create_file, encode, make_folder, remove_name
from shared.ids import JobId, SweepId, new_job_id
from shared.job import JobRecord
from shared.job_folder import JobFolder
from shared.problems import Conflict
from shared.times import Time, seconds_since, utc_now
from shared.volume import Volume

HEADER = "Idempotency-Key"
ONCE = {HEADER: text("Key that makes repeated requests create only one.", pattern="^[!#-+\\--\\[\\]-~]{1,255}$")}
KEPT_SECONDS = 24 * 3600.0

_PLAIN = re.compile(r'[!#-+\--\[\]-~]{1,255}|"[ !#-\[\]-~]{1,255}"')

log = logging.getLogger(__name__)


class PostedOnce(Document):
    """`idempotency/<aa>/<digest>.json`: `job_id` is the id of the job, or of the sweep, that was posted."""

    job_id: JobId | SweepId
    body_sha256: str
    created_at: Time


def store_once(
    document: Mapping[str, Any],
    new_record: Callable[[str], JobRecord],
    prepare: Callable[[JobRecord, JobFolder], None] | None = None,
) -> tuple[JobFolder, JobRecord | None]:
    """Store the job of this post, unless another post with the same key has. Return the folder of the job.

    The second value is the record, if no other process can know the job yet and its folder contains only the record:
    then the caller does not have to read it again. Otherwise it is None.

    `new_record` makes the record of a job with the given id from `document`; if it raises, the key can be used again.
    `prepare` adds files to the new job's folder before it is published.

    Raises HttpProblem: 400 for an invalid key, 422 for a key with which another body was posted.
    """
    volume, post = service().volume, PostKey.of_request(document)
    if post is None:
        record = new_record(new_job_id())
        return _store(record, prepare), record if prepare is None else None
    job_id, ours = post.find_id(), None
    if job_id is None:
        ours = new_record(new_job_id())
        job_id = post.choose(ours.id)
    existing = volume.job(job_id)
    if existing is None and volume.was_deleted(job_id):
        raise Conflict(f"the job of this {HEADER} was deleted; use a new one to post it again")
    if existing is not None:
        return existing, None
    record = ours if ours is not None and ours.id == job_id else new_record(job_id)
    return _store(record, prepare, is_shared=True), None


@dataclass(frozen=True)
class PostKey:
    """The Idempotency-Key of a request: the file of its record, and the hash of the request's body."""

    file: Path
    body_sha256: str

    @classmethod
    def of_request(cls, document: Mapping[str, Any]) -> Self | None:
        """The key of the current request, or None if it has none. Raises HttpProblem 400 for an invalid key."""
        key = _read_key()
        if key is None:
            return None
        body = sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
        return cls(record_file(service().volume, caller().key_id, key), body)

    def find_id(self) -> str | None:
        """The id that an earlier post with this key has chosen, or None. Raises HttpProblem 422 for another body."""
        posted = _read(self.file)
        return None if posted is None else self._id_of(posted)

    def choose(self, own_id: str) -> str:
        """The id for all posts with this key: `own_id` if this post is the first. Raises HttpProblem 422."""
        posted = _first(self.file, own_id, self.body_sha256)
        _remove_old_hourly(service().volume)
        return self._id_of(posted)

    def _id_of(self, posted: PostedOnce) -> str:
        if posted.body_sha256 != self.body_sha256:
            detail = f"another body was posted with this {HEADER}; use a new one"
            raise HttpProblem(422, "idempotency_key_reused", detail)
        return posted.job_id


def _store(
    record: JobRecord, prepare: Callable[[JobRecord, JobFolder], None] | None, *, is_shared: bool = False
) -> JobFolder:
    check_job(record)
    admit_job(record)
    if prepare is None:
        return service().volume.store_job(record, is_shared=is_shared)
    return service().volume.store_job(record, partial(prepare, record), is_shared=is_shared)


def record_file(volume: Volume, key_id: str, key: str) -> Path:
    """The file of the record of a client's key. Each API key has its own records."""
    digest = sha256(json.dumps([key_id, key]).encode()).hexdigest()
    return _folder(volume) / digest[:2] / f"{digest}.json"


def remove_old(volume: Volume, kept_seconds: float = KEPT_SECONDS) -> None:
    """Remove the records that are older than `kept_seconds`. Does not raise: the next call removes the rest."""
    try:
        for file in _folder(volume).glob("*/*.json"):
            _remove_if_old(volume, file, kept_seconds)
    except OSError as error:
        log.warning("old records of %s stay for another hour: %s", HEADER, error.strerror)


def _remove_old_hourly(volume: Volume) -> None:
    """Remove old records in a thread, unless a process of any API host has begun this in the current hour."""
    turn = _folder(volume) / f"swept-{datetime.now(UTC):%Y-%m-%dT%H}"
    # One process at a time: a second one could remove a record that was created again after the first one read it.
    if turn.exists() or not create_file(turn, b""):
        return
    for old in turn.parent.glob("swept-*"):
        if old != turn:
            remove_name(old)
    threading.Thread(target=remove_old, args=(volume,), name="fitstop-old-records", daemon=True).start()


def _remove_if_old(volume: Volume, file: Path, kept_seconds: float) -> None:
    try:
        posted = _read(file)
    except UnusableDocument as error:
        log.error("a record of %s stays: %s", HEADER, error)
        return
    if posted is None or seconds_since(posted.created_at) <= kept_seconds:
        return
    if volume.job(posted.job_id) is None:
        volume.forget_marker(posted.job_id)
    remove_name(file)


def _first(file: Path, job_id: str, body_sha256: str) -> PostedOnce:
    """Create the record unless one exists. Return the record that now exists."""
    make_folder(file.parent)
    ours = PostedOnce(job_id=job_id, body_sha256=body_sha256, created_at=utc_now())
    if create_file(file, encode(ours.model_dump(mode="json"))):
        return ours
    existing = _read(file)
    assert existing is not None, "a record is not removed a moment after its creation"
    return existing


def _read(file: Path) -> PostedOnce | None:
    return read_document(file, PostedOnce)


def _read_key() -> str | None:
    """The client's key without quotes, which a structured field has and which are not part of the key."""
    sent = request.headers.get(HEADER)
    if sent is None:
        return None
    if not _PLAIN.fullmatch(sent):
        detail = f"{HEADER} is 1 to 255 visible ASCII characters, such as a UUID, with or without double quotes"
        raise HttpProblem(400, "bad_idempotency_key", detail)
    return sent.strip('"')


def _folder(volume: Volume) -> Path:
    return volume.root / "idempotency"
