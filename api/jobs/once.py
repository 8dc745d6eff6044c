"""`Idempotency-Key` on POST /jobs and POST /sweeps: a repeated post creates only one job or sweep.

idempotency/<aa>/<digest>.json   its id, and what the body was; the digest is over the ids of both keys

The record is created exclusively and names the job's id before the job is stored. So of any number of posts at once one
chooses the id and all of them answer with it; a post that finds the record without its job, because the process between
the two was killed, stores the job under that same id, which is an exclusive create again. A record is kept for at least
24 hours, and swept by whichever process is the first to make one in an hour.
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
    """The job of this post: stored by it, or by another one with the same key.

    With the record where nobody else can know of the job yet and its folder holds no more than that, so that it need
    not be read again.
    `new_record` makes the record of a job with that id from `document`; what it refuses leaves the key free. `prepare`
    puts into the new job's folder what it begins with, again where a post is repeated.

    Raises HttpProblem: 400 for a key that is none, 422 for one under which another body was posted.
    """
    volume, post = service().volume, PostKey.of_request(document)
    if post is None:
        record = new_record(new_job_id())
        return _store(record, prepare), record if prepare is None else None
    job_id, ours = post.chosen(), None
    if job_id is None:
        ours = new_record(new_job_id())
        job_id = post.choose(ours.id)
    standing = volume.job(job_id)
    if standing is None and volume.was_deleted(job_id):
        raise Conflict(f"the job of this {HEADER} was deleted; use a new one to post it again")
    if standing is not None:
        return standing, None
    record = ours if ours is not None and ours.id == job_id else new_record(job_id)
    return _store(record, prepare, is_shared=True), None


@dataclass(frozen=True)
class PostKey:
    """The Idempotency-Key of a request for a body: where its record lies, and the body's digest."""

    file: Path
    body_sha256: str

    @classmethod
    def of_request(cls, document: Mapping[str, Any]) -> Self | None:
        """That of the request that is answered; None where it has none. Raises HttpProblem 400 for a bad one."""
        key = _read_key()
        if key is None:
            return None
        body = sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
        return cls(record_file(service().volume, caller().key_id, key), body)

    def chosen(self) -> str | None:
        """The id that a post with this key has chosen; None where none has. Raises HttpProblem 422 for another body."""
        posted = _read(self.file)
        return None if posted is None else self._id_of(posted)

    def choose(self, own_id: str) -> str:
        """The id of all posts with this key: `own_id`, where this post is the first. Raises HttpProblem 422."""
        posted = _first(self.file, own_id, self.body_sha256)
        _sweep_sometimes(service().volume)
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
    """Where the record of a client's key lies: each API key has its own."""
    digest = sha256(json.dumps([key_id, key]).encode()).hexdigest()
    return _folder(volume) / digest[:2] / f"{digest}.json"


def sweep(volume: Volume, kept_seconds: float = KEPT_SECONDS) -> None:
    """Remove the records that are older. Never raises: what stays is removed by the next one."""
    try:
        for file in _folder(volume).glob("*/*.json"):
            _remove_if_old(volume, file, kept_seconds)
    except OSError as error:
        log.warning("old records of %s stay for another hour: %s", HEADER, error.strerror)


def _sweep_sometimes(volume: Volume) -> None:
    """Sweep, in a thread, if nobody has in this hour, on any API host."""
    turn = _folder(volume) / f"swept-{datetime.now(UTC):%Y-%m-%dT%H}"
    # One sweeper at a time: a second one could remove a record that was made again after the first one's look.
    if turn.exists() or not create_file(turn, b""):
        return
    for old in turn.parent.glob("swept-*"):
        if old != turn:
            remove_name(old)
    threading.Thread(target=sweep, args=(volume,), name="fitstop-sweep", daemon=True).start()


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
    """The record that stands after we have tried to be the first."""
    make_folder(file.parent)
    ours = PostedOnce(job_id=job_id, body_sha256=body_sha256, created_at=utc_now())
    if create_file(file, encode(ours.model_dump(mode="json"))):
        return ours
    standing = _read(file)
    assert standing is not None, "a record that stood a moment ago is not yet old enough to be swept"
    return standing


def _read(file: Path) -> PostedOnce | None:
    return read_document(file, PostedOnce)


def _read_key() -> str | None:
    """The client's key; with and without the quotes of a structured field it is the same one."""
    sent = request.headers.get(HEADER)
    if sent is None:
        return None
    if not _PLAIN.fullmatch(sent):
        detail = f"{HEADER} is 1 to 255 visible ASCII characters, such as a UUID, with or without double quotes"
        raise HttpProblem(400, "bad_idempotency_key", detail)
    return sent.strip('"')


def _folder(volume: Volume) -> Path:
    return volume.root / "idempotency"
