"""`events.jsonl`: what happened in an attempt, one line for each event, appended only by the attempt's owner.

    {"time": "…Z", "at": 7.25, "type": "epoch", "level": "info", "message": "epoch 3 of 1000: …", "data": {…}}

`time` is wall-clock time, for people. `at` is in seconds since the claim by the owner's monotonic clock; durations are
computed from it. Inherited events and those of older versions have no `at`.

Types can be extended; those in use: extend, state, lost, started, data, model, engine, resume, epoch, checkpoint,
learning_rate, stop, evaluation, program, fit, files. A position in the stream of a whole job is a `Cursor`: the attempt
and the byte after the last line read.
"""

import json
import math
import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, Self

from shared.document import UnusableDocument
from shared.job_folder import AttemptFolder, JobFolder
from shared.plain_files import open_plain
from shared.storage import at_path
from shared.times import microseconds, utc_now

Level = Literal["info", "warning", "error"]

_TAIL_BYTES = 64 * 1024
# Fitstop writes no longer line; nothing is read after a longer one.
_MOST_LINE_BYTES = 1024**2
_MOST_SECONDS = 1e10


@dataclass(frozen=True)
class Event:
    """One thing that happened; `data` holds JSON values only, never NaN. `at`: seconds since the claim, if measured."""

    type: str
    message: str
    data: dict[str, Any]
    level: Level = "info"
    time: str = ""
    at: float | None = None

    def line(self, at: float | None = None) -> bytes:
        """The event as one line of the file. Without a time it gets the current one, without `at` the given one."""
        measured = at if self.at is None else self.at
        document = {
            "time": self.time or utc_now(),
            **({} if measured is None else {"at": round(measured, 6)}),
            "type": self.type,
            "level": self.level,
            "message": self.message,
            "data": self.data,
        }
        return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode() + b"\n"


@dataclass(frozen=True, order=True)
class Cursor:
    """A position between two events of a job; the start is attempt 0."""

    attempt: int = 0
    offset: int = 0

    def __str__(self) -> str:
        return f"{self.attempt}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The cursor that `str` wrote. Raises ValueError for anything else."""
        attempt, separator, offset = text.partition(":")
        if not (separator and attempt.isdecimal() and offset.isdecimal() and len(text) <= 40):
            raise ValueError(f"not a cursor: {text!r}")
        return cls(int(attempt), int(offset))


@dataclass(frozen=True)
class PlacedEvent:
    """An event, the attempt that it belongs to, and the cursor after it."""

    attempt: int
    after: Cursor
    event: Event


class EventWriter:
    """Appends events to a file, from any thread. Written events survive a kill; after `sync` also a power failure.

    `claimed`: the moment of the attempt's claim by this machine's monotonic clock; only the owner gives it.
    """

    def __init__(self, path: Path, claimed: float | None = None) -> None:
        self._claimed = claimed
        _repair_tail(path)
        self._path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._one_at_a_time = threading.Lock()

    def write(self, events: Iterable[Event]) -> None:
        """Append `events` in one write."""
        at = None if self._claimed is None else time.monotonic() - self._claimed
        lines = b"".join(event.line(at) for event in events)
        with self._one_at_a_time, at_path(self._path):
            while lines:
                lines = lines[os.write(self._descriptor, lines) :]

    def sync(self) -> None:
        with at_path(self._path):
            os.fsync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_events(path: Path, offset: int = 0, until: int | None = None) -> Iterator[tuple[int, Event]]:
    """The complete events from `offset` to `until`, each with the offset after it, without an incomplete last line."""
    try:
        with open_plain(path) as file:
            if offset > os.fstat(file.fileno()).st_size:
                return  # a client's cursor may have any number, also one that is too large for `seek`
            file.seek(offset)
            while line := file.readline(_MOST_LINE_BYTES):
                offset += len(line)
                if not line.endswith(b"\n") or (until is not None and offset > until):
                    return
                event = _parse(line)
                if event is not None:
                    yield offset, event
    except FileNotFoundError:
        return


def job_events(job: JobFolder, after: Cursor = Cursor()) -> Iterator[PlacedEvent]:
    """The events of all attempts after `after`, in the order of the attempts; attempt 0 is inherited."""
    for attempt in job.runs():
        if attempt.number < after.attempt:
            continue
        start = after.offset if attempt.number == after.attempt else 0
        for offset, event in read_events(attempt.events_file, start, _end_of_events(attempt)):
            yield PlacedEvent(attempt.number, Cursor(attempt.number, offset), event)


def last_event(attempt: AttemptFolder, kind: str) -> Event | None:
    """The last event of one type in the file's last 64 KiB: a report costs the same for a file of any length."""
    return next((event for event in last_events(attempt) if event.type == kind), None)


def last_events(attempt: AttemptFolder) -> Iterator[Event]:
    """The events in the file's last 64 KiB, the newest first."""
    try:
        with open_plain(attempt.events_file) as file:
            until = _end_of_events(attempt)
            end = file.seek(0, os.SEEK_END) if until is None else until
            begin = file.seek(max(0, end - _TAIL_BYTES))
            lines = file.read(end - begin).split(b"\n")[:-1]
    except FileNotFoundError:
        return
    events = (_parse(line) for line in reversed(lines))
    yield from (event for event in events if event is not None)


def last_epoch_event(runs: Sequence[AttemptFolder]) -> Event | None:
    """The last epoch of the newest attempt that trained one."""
    events = (last_event(attempt, "epoch") for attempt in reversed(runs))
    return next((event for event in events if event is not None), None)


def _end_of_events(attempt: AttemptFolder) -> int | None:
    """The offset at which the events of an ended attempt end, even if its owner wrote more later; None while it runs.

    Also None if its end cannot be read: reported events stay visible.
    """
    try:
        end = attempt.end()
    except UnusableDocument:
        return None
    return end.events_bytes if end else None


def epochs_done(job: JobFolder) -> int:
    """The last epoch (from 1) that any attempt has reported; 0 before the first."""
    last = last_epoch_event(job.runs())
    return int(last.data.get("epoch", 0)) if last else 0


def _parse(line: bytes) -> Event | None:
    """The event of a line; None for a damaged line, such as one that a crash cut off and a later writer completed."""
    try:
        document = json.loads(line)
        type_, message, data, level = (document[name] for name in ("type", "message", "data", "level"))
        moment = document["time"]
        microseconds(moment)
        if b"\\ud" in line.lower():
            json.dumps(document, ensure_ascii=False).encode()  # a lone surrogate cannot be sent
        texts = (type_, message, level, moment)
        if not isinstance(data, dict) or not all(isinstance(text, str) for text in texts):
            return None
        return Event(type_, message, data, level, moment, _parse_at(document.get("at")))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def _parse_at(at: Any) -> float | None:
    is_number = isinstance(at, int | float) and not isinstance(at, bool)
    return max(0.0, float(at)) if is_number and math.isfinite(at) and at < _MOST_SECONDS else None


def _repair_tail(path: Path) -> None:
    """Remove an incomplete last line of a killed writer, so that the next event starts a new line."""
    try:
        with at_path(path), path.open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            whole = _end_of_last_line(file, size)
            if whole < size:
                file.truncate(whole)
    except FileNotFoundError:
        return


def _end_of_last_line(file: BinaryIO, end: int) -> int:
    """The offset after the last complete line before `end`, searched backwards: a long job's file has 60 MB."""
    while end:
        begin = max(0, end - _TAIL_BYTES)
        file.seek(begin)
        line_feed = file.read(end - begin).rfind(b"\n")
        if line_feed >= 0:
            return begin + line_feed + 1
        end = begin
    return 0
