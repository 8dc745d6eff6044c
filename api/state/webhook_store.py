"""Webhooks, in FITSTOP_STATE_FOLDER: they hold secrets, and no worker mounts that folder.

webhooks/<webhook id>/webhook.json      what is sent where: written once
webhooks/<webhook id>/deliveries.jsonl  what was sent and is to be sent (api.state.deliveries); by the sender alone
webhooks/<webhook id>/tests/            tests that somebody asked for and that the sender has not taken over yet
webhooks/settled, lock, senders/        of the sender (api.webhooks.sender)
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
# A sender shows itself every second.
SENDER_SECONDS = 30

_ID = re.compile(WEBHOOK_ID_PATTERN[1:-1])
_TEST_ID = re.compile(r"test_[0-9a-f]{16}")
_DOCUMENT, _TESTS, _SENDERS = "webhook.json", "tests", "senders"
_LETTERS = string.ascii_lowercase + string.digits

log = logging.getLogger(__name__)


class WebhookRecord(Document):
    """`webhook.json`. `shown` is the address without its secrets; `secret` signs, and an Apprise address has none.

    `since_ns`: nothing that happened before it is sent. It is a moment of the volume's clock, in nanoseconds.
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
        """Only the file holds it."""
        return None if value is None else value.get_secret_value()


class TestRequest(Document):
    """`tests/<test id>`."""

    __test__ = False

    id: str
    requested_at: str


class WebhookStore:
    """All webhooks. Makes its folder; raises OSError where it cannot."""

    def __init__(self, state_folder: Path) -> None:
        self.folder = state_folder / "webhooks"
        make_folder(self.folder)

    def create(self, record: WebhookRecord) -> None:
        """Store a new webhook. The sender knows it when this returns."""
        folder = self.place(record.id)
        make_folder(folder / _TESTS)
        if not create_file(folder / _DOCUMENT, encode(record.model_dump(mode="json"))):
            raise FileExistsError(f"two webhooks of one id: {record.id}")

    def find(self, webhook_id: str) -> WebhookRecord | None:
        """The webhook with that id; None for everything else. One that cannot be read is logged."""
        if _ID.fullmatch(webhook_id) is None:
            return None
        try:
            return read_document(self.place(webhook_id) / _DOCUMENT, WebhookRecord)
        except UnusableDocument as error:
            _log_once(f"{webhook_id} is passed over: {error}")
            return None

    def all(self) -> list[WebhookRecord]:
        """Every webhook, newest first."""
        found = (self.find(path.name) for path in self.folder.iterdir())
        return sorted((one for one in found if one is not None), key=_age, reverse=True)

    def exist(self) -> bool:
        """Whether there is a webhook of any project; by the names of folders alone."""
        return any(_ID.fullmatch(path.name) for path in self.folder.iterdir())

    def show_sender(self) -> None:
        """Show that the sender of this host works: a file whose time is now."""
        make_folder(self.folder / _SENDERS)
        (self.folder / _SENDERS / socket.gethostname()).touch()

    def has_sender(self) -> bool:
        """Whether a sender has shown itself in the last SENDER_SECONDS."""
        folder = self.folder / _SENDERS
        shown = [path.stat().st_mtime for path in folder.iterdir()] if folder.is_dir() else []
        return any(time.time() - moment < SENDER_SECONDS for moment in shown)

    def delete(self, webhook_id: str) -> bool:
        """Make a webhook not exist any more, at once and whole; False where there is none."""
        grave = self.folder / f".{webhook_id}-{secrets.token_hex(6)}.tmp"
        try:
            self.place(webhook_id).rename(grave)
        except FileNotFoundError:
            return False
        sync_folder(self.folder)
        shutil.rmtree(grave, ignore_errors=True)
        return True

    def place(self, webhook_id: str) -> Path:
        """The folder of a webhook, whose id has been checked by then."""
        return self.folder / webhook_id

    def ask_test(self, webhook_id: str) -> TestRequest:
        """Ask the sender for a test. Raises Conflict while it has not taken over earlier ones."""
        if len(list(self.tests(webhook_id))) >= MOST_TESTS:
            raise Conflict(f"{MOST_TESTS} tests of this webhook wait for the sender; see whether it runs")
        asked = TestRequest(id=f"test_{secrets.token_hex(8)}", requested_at=utc_now())
        create_file(self._test_file(webhook_id, asked.id), encode(asked.model_dump(mode="json")))
        return asked

    def tests(self, webhook_id: str) -> Iterator[TestRequest]:
        """The tests that the sender has not taken over, oldest first."""
        folder = self.place(webhook_id) / _TESTS
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        found = [read_document(folder / name, TestRequest) for name in names if _TEST_ID.fullmatch(name)]
        yield from sorted((one for one in found if one is not None), key=lambda one: (one.requested_at, one.id))

    def end_test(self, webhook_id: str, test_id: str) -> None:
        """Remove a test that the sender has taken over."""
        self._test_file(webhook_id, test_id).unlink(missing_ok=True)

    def _test_file(self, webhook_id: str, test_id: str) -> Path:
        return self.place(webhook_id) / _TESTS / test_id


def new_webhook_id() -> str:
    """An id that no other webhook has."""
    return f"webhook_{''.join(secrets.choice(_LETTERS) for _ in range(12))}"


def volume_now(volume: Volume) -> int:
    """This moment by the volume's clock, in nanoseconds: files' times are compared with it. Raises OSError."""
    probe = volume.deleted / f"clock-{secrets.token_hex(6)}"
    probe.mkdir()
    try:
        return probe.stat().st_mtime_ns
    finally:
        probe.rmdir()


@lru_cache(maxsize=1000)
def _log_once(problem: str) -> None:
    """Not at each look at the webhooks, which are looked at every second."""
    log.error("%s", problem)


def _age(record: WebhookRecord) -> tuple[str, str]:
    return record.created_at, record.id
