"""Watches a job: in a terminal with a live view below the events, on a pipe with one line for each event."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fitstop.client import Client, Json
from fitstop.terminal.follow import Moment, follow
from fitstop.terminal.forecast_reader import ForecastReader
from fitstop.terminal.job_view import ending, failure_words, job_picture, queue_place
from fitstop.terminal.output import clock, console, literal

# The number of past events to show when attaching to a running job.
_LAST_EVENTS = 12
_Moment = TypeVar("_Moment")

_LEVEL_STYLES = {"warning": "yellow", "error": "red"}
_TYPE_STYLES = {"checkpoint": "green", "learning_rate": "magenta", "stop": "bold"}


def watch(client: Client, job_id: str, timeout: float | None = None, *, err: bool = False) -> Json:
    """Show a job until it has finished, and return it. KeyboardInterrupt passes through; the job continues to run.

    With `err` it is shown on stderr. Raises TimeoutError if it has not finished after `timeout` seconds.
    """
    screen = console(err=err)
    with catch_interrupts() as interrupted:
        moments = until(interrupted, follow(client, job_id, timeout=timeout))
        return (
            _watch_live(screen, moments, ForecastReader(client))
            if screen.is_terminal
            else _watch_lines(screen, moments)
        )


@contextmanager
def catch_interrupts() -> Iterator[threading.Event]:
    """An event that Ctrl-C sets, in addition to the KeyboardInterrupt.

    Python drops an exception inside a finalizer or a callback of its own, with a line on stderr. So a live view, which
    is drawn often, would sometimes miss a Ctrl-C.
    """
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return

    def interrupt(*_: object) -> None:
        interrupted.set()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)


def until(interrupted: threading.Event, moments: Iterator[_Moment]) -> Iterator[_Moment]:
    """Yield the moments; raise KeyboardInterrupt as soon as `interrupted` is set."""
    for moment in moments:
        if interrupted.is_set():
            raise KeyboardInterrupt
        yield moment


def print_ending(job: Json, *, err: bool = False) -> None:
    """Print how a job has ended."""
    screen = console(err=err)
    for line in ending(job):
        screen.print(line)


def event_line(event: Json) -> Text:
    """One event as a line: the local time of day, and the message."""
    style = _LEVEL_STYLES.get(event.get("level", ""), "") or _TYPE_STYLES.get(event.get("type", ""), "")
    return Text.assemble((clock(event.get("time")), "dim"), "  ", literal(event.get("message", ""), style))


def _event_row(event: Json) -> Table:
    """One event for a terminal: a long message is wrapped below its own beginning."""
    line = event_line(event)
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(line[:8], line[10:])
    return grid


def _watch_live(screen: Console, moments: Iterator[Moment], forecasts: ForecastReader) -> Json:
    changes = _Changes()
    job: Json = {}
    with Live(console=screen, refresh_per_second=8, transient=True) as live:
        for moment in moments:
            first = not job
            job = moment.job or job
            events = [event for event in moment.events if event.get("type") != "epoch"]
            if first and len(events) > _LAST_EVENTS:
                live.console.print(Text(f"… {len(events) - _LAST_EVENTS} events before these", "dim"))
                events = events[-_LAST_EVENTS:]
            for line in [*changes.lines(moment, queue=False), *map(_event_row, events)]:
                live.console.print(line)
            live.update(job_picture(job, moment.trouble, forecasts.of(job)))
    return job


def _watch_lines(screen: Console, moments: Iterator[Moment]) -> Json:
    changes = _Changes()
    job: Json = {}
    for moment in moments:
        job = moment.job or job
        for line in [*changes.lines(moment, queue=True), *map(event_line, moment.events)]:
            screen.print(line, soft_wrap=True)
    return job


class _Changes:
    """Describes what is new, except events: the place in the queue, failed attempts, a lost connection."""

    def __init__(self) -> None:
        self._failures = 0
        self._place = ""
        self._trouble: str | None = None

    def lines(self, moment: Moment, *, queue: bool) -> list[Text]:
        """The lines to print for a moment. Without `queue`, nothing that a live view shows."""
        job = moment.job or {}
        lines = self._failed(job)
        place = f"queued, {queue_place(job)}" if job.get("status") == "queued" else ""
        if queue and place and place != self._place:
            lines.append(Text(place))
        self._place = place
        if queue and moment.trouble and not self._trouble:
            lines.append(literal(f"{moment.trouble}; trying again", "yellow"))
        if self._trouble and not moment.trouble:
            lines.append(Text("connected again", "green"))
        self._trouble = moment.trouble
        return lines

    def _failed(self, job: Json) -> list[Text]:
        failures = job.get("failures") or []
        fresh = failures[self._failures :]
        self._failures = len(failures)
        return [literal(failure_words(one), "yellow") for one in fresh]
