"""Webhooks, in FITSTOP_STATE_FOLDER, to which no worker has access, because they contain secrets.

webhooks/<webhook id>/webhook.json      the address and the events: written once
webhooks/<webhook id>/deliveries.jsonl  the deliveries (api.state.deliveries); only the sender writes
webhooks/<webhook id>/tests/            requested tests that the sender has not read yet
webhooks/settled, lock, senders/        files of the sender (api.webhooks.sender)
"""

import logging
import re
import secrets
import shutil
import socket
import string
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field, SecretStr, field_serializer

from api.state.key_store import KeyName
from shared.document import Document, UnusableDocument, read_document
from shared.durable import create_file, encode, make_folder, sync_folder
from shared.problems import Conflict
from shared.project import ProjectName
from shared.times import utc_now
from shared.volume import Volume

EventType = Literal[
    "job.succeeded",
    "job.failed",
    "job.cancelled",
    "job.early_stopping",
    "job.worker_lost",
    "job.budget_nearly_used",
    "sweep.best",
    "sweep.finished",
]
EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)
WebhookKind = Literal["webhook", "apprise"]

WEBHOOK_ID_PATTERN = r"^webhook_[a-z0-9]{12}$"
MOST_TESTS = 10
# Time without a sign after which the sender counts as stopped. A running sender shows itself every second.
SENDER_SECONDS = 30

_ID = re.compile(WEBHOOK_ID_PATTERN[1:-1])
_TEST_ID = re.compile(r"test_[0-9a-f]{16}")
_DOCUMENT, _TESTS, _SENDERS = "webhook.json", "tests", "senders"
_LETTERS = string.ascii_lowercase + string.digits

log = logging.getLogger(__name__)


class WebhookRecord(Document):
    """`webhook.json`. `shown` is the address without its secrets. `secret` is the signing key; None with Apprise.

    `since_ns`: earlier events are not sent. It is a time of the volume's clock, in nanoseconds.
    """

    id: str
    project: ProjectName
    kind: WebhookKind
    name: KeyName | None
    address: SecretStr
    shown: str
    events: tuple[EventType, ...]
    job_name: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    secret: SecretStr | None
    created_at: str
    since_ns: Annotated[int, Field(ge=0)]

    @field_serializer("address", "secret", when_used="json")
    def _store_secret(self, value: SecretStr | None) -> str | None:
        """Write the secret to the file; everywhere else it stays hidden."""
        return None if value is None else value.get_secret_value()


class TestRequest(Document):
    """`tests/<test id>`."""

    __test__ = False

    id: str
    requested_at: str


class WebhookStore:
    """The store of all webhooks. Creates its folder; raises OSError if it cannot."""

    def __init__(self, state_folder: Path) -> None:
        self.folder = state_folder / "webhooks"
        make_folder(self.folder)

    def create(self, record: WebhookRecord) -> None:
        """Store a new webhook. The sender can see it when this returns."""
        folder = self.place(record.id)
        make_folder(folder / _TESTS)
        if not create_file(folder / _DOCUMENT, encode(record.model_dump(mode="json"))):
            raise FileExistsError(f"two webhooks of one id: {record.id}")

    def find(self, webhook_id: str) -> WebhookRecord | None:
        """The webhook with this id; None if it does not exist, or if it cannot be read, which is logged."""
        if _ID.fullmatch(webhook_id) is None:
            return None
        try:
            return read_document(self.place(webhook_id) / _DOCUMENT, WebhookRecord)
        except UnusableDocument as error:
            _log_once(f"{webhook_id} is ignored: {error}")
            return None

    def all(self) -> list[WebhookRecord]:
        """All webhooks, newest first."""
        found = (self.find(path.name) for path in self.folder.iterdir())
        return sorted((one for one in found if one is not None), key=_age, reverse=True)

    def has_any(self) -> bool:
        """Whether there is a webhook of any project. Reads only the names of folders."""
        return any(_ID.fullmatch(path.name) for path in self.folder.iterdir())

    def show_sender(self) -> None:
        """Show that the sender of this host works: set the time of its file to now."""
        make_folder(self.folder / _SENDERS)
        (self.folder / _SENDERS / socket.gethostname()).touch()

    def has_sender(self) -> bool:
        """Whether a sender has shown itself in the last SENDER_SECONDS."""
        folder = self.folder / _SENDERS
        shown = [path.stat().st_mtime for path in folder.iterdir()] if folder.is_dir() else []
        return any(time.time() - moment < SENDER_SECONDS for moment in shown)

    def delete(self, webhook_id: str) -> bool:
        """Delete a webhook in one step. False if it does not exist."""
        trash = self.folder / f".{webhook_id}-{secrets.token_hex(6)}.tmp"
        try:
            self.place(webhook_id).rename(trash)
        except FileNotFoundError:
            return False
        sync_folder(self.folder)
        shutil.rmtree(trash, ignore_errors=True)
        return True

    def place(self, webhook_id: str) -> Path:
        """The folder of a webhook. The caller has checked the id."""
        return self.folder / webhook_id

    def request_test(self, webhook_id: str) -> TestRequest:
        """Request a test from the sender. Raises Conflict while MOST_TESTS earlier ones wait for it."""
        if len(list(self.tests(webhook_id))) >= MOST_TESTS:
            raise Conflict(f"{MOST_TESTS} tests of this webhook wait for the sender; check whether it runs")
        asked = TestRequest(id=f"test_{secrets.token_hex(8)}", requested_at=utc_now())
        create_file(self._test_file(webhook_id, asked.id), encode(asked.model_dump(mode="json")))
        return asked

    def tests(self, webhook_id: str) -> Iterator[TestRequest]:
        """The tests that the sender has not read yet, oldest first."""
        folder = self.place(webhook_id) / _TESTS
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        found = [read_document(folder / name, TestRequest) for name in names if _TEST_ID.fullmatch(name)]
        yield from sorted((one for one in found if one is not None), key=lambda one: (one.requested_at, one.id))

    def end_test(self, webhook_id: str, test_id: str) -> None:
        """Remove a test that the sender has read."""
        self._test_file(webhook_id, test_id).unlink(missing_ok=True)

    def _test_file(self, webhook_id: str, test_id: str) -> Path:
        return self.place(webhook_id) / _TESTS / test_id


def new_webhook_id() -> str:
    """A new random id."""
    return f"webhook_{''.join(secrets.choice(_LETTERS) for _ in range(12))}"


def volume_now(volume: Volume) -> int:
    """The time of the volume's clock in nanoseconds, for comparison with times of its files. Raises OSError."""
    probe = volume.deleted / f"clock-{secrets.token_hex(6)}"
    probe.mkdir()
    try:
        return probe.stat().st_mtime_ns
    finally:
        probe.rmdir()


@lru_cache(maxsize=1000)
def _log_once(problem: str) -> None:
    """Log a problem only once, although the webhooks are read every second."""
    log.error("%s", problem)


def _age(record: WebhookRecord) -> tuple[str, str]:
    return record.created_at, record.id
