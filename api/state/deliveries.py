"""`deliveries.jsonl`: the deliveries to one webhook, one line for each change of a delivery.

A line contains the whole delivery, so the last line of an id counts. Only the sender appends. It rewrites the file at
its start and when the file has grown. The new file contains the pending deliveries, those that could be requested
again, and the newest of the others. A sender that was replaced without noticing it appends to a file that is no longer
read.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from shared.document import Document
from shared.durable import encode, replace_file
from shared.plain_files import open_plain

DeliveryStatus = Literal["pending", "delivered", "given_up"]

MOST_LISTED = 50
_TAIL_BYTES = 512 * 1024


class Delivery(Document):
    """One event for one webhook. `id` is the same in every try, and for the same event after a restart.

    The deliveries of one `job`, or of the sweep with that id, are sent one after another; a test has none. `answer` is
    the HTTP status of the last try, or None if there was no answer; `error` says why that try failed.
    """

    id: str
    type: str
    job: str | None
    body: dict[str, Any]
    created_at: str
    status: DeliveryStatus = "pending"
    tries: Annotated[int, Field(ge=0)] = 0
    last_try_at: str | None = None
    next_try_at: str | None = None
    answer: int | None = None
    error: str | None = None


class Journal:
    """The file of one webhook, for the sender. The folder may be removed at any moment; then nothing is written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self.bytes = 0

    def read(self) -> dict[str, Delivery]:
        """All deliveries by their ids, in the order of their creation."""
        try:
            with open_plain(self._path) as file:
                return _newest(file.read().split(b"\n"))
        except FileNotFoundError:
            return {}

    def rewrite(self, kept: Iterable[Delivery]) -> None:
        """Replace the content of the file by `kept`, and open the file for `append`. Raises OSError."""
        content = b"".join(map(_line, kept))
        replace_file(self._path, content)
        self.close()
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self.bytes = len(content)

    def append(self, changed: Iterable[Delivery]) -> None:
        """Append the current state of these deliveries, and flush it to the disk. Raises OSError."""
        assert self._descriptor is not None, "rewrite comes first"
        lines = b"".join(map(_line, changed))
        self.bytes += len(lines)
        while lines:
            lines = lines[os.write(self._descriptor, lines) :]
        os.fsync(self._descriptor)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None


def last_deliveries(folder: Path) -> list[Delivery]:
    """The deliveries of the webhook in `folder` that changed last, newest first. Reads only the end of the file."""
    try:
        with open_plain(journal_file(folder)) as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - _TAIL_BYTES))
            lines = file.read(_TAIL_BYTES).split(b"\n")
    except FileNotFoundError:
        return []
    found: dict[str, Delivery] = {}
    for line in reversed(lines):
        delivery = _parse(line)
        if delivery is not None:
            found.setdefault(delivery.id, delivery)
        if len(found) == MOST_LISTED:
            break
    return list(found.values())


def journal_file(folder: Path) -> Path:
    return folder / "deliveries.jsonl"


def _newest(lines: Iterable[bytes]) -> dict[str, Delivery]:
    found: dict[str, Delivery] = {}
    for line in lines:
        delivery = _parse(line)
        if delivery is not None:
            found[delivery.id] = delivery
    return found


def _line(delivery: Delivery) -> bytes:
    return encode(delivery.model_dump(mode="json"))


def _parse(line: bytes) -> Delivery | None:
    """The delivery of a line; None for part of a line, after a crash or at the beginning of the tail."""
    try:
        return Delivery.model_validate_json(line, extra="ignore")
    except ValidationError:
        return None
