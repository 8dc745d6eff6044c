"""Prints text in a terminal: data to stdout, hints to stderr, and every name literally.

Nothing here interprets markup, and all text from outside goes through `plain`. So a job with the name "[red]x", or with
an escape sequence in its name, has no effect on the terminal that lists it.
"""

import io
import json
import os
import re
import shutil
import sys
import unicodedata
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from fitstop.errors import Answered, ClientError, Denied, Unreachable

# The width on a pipe, where nothing is cut or wrapped.
PIPE_WIDTH = 240
# Minimum columns of an id: its beginning and end still identify it.
_LEAST_ID = 16

_STATUS_STYLES = {
    "queued": "yellow",
    "running": "cyan",
    "succeeded": "green",
    "failed": "red",
    "cancelled": "magenta",
    "ready": "green",
    "busy": "cyan",
    "starting": "yellow",
    "unfit": "bold red",
    "paused": "bold yellow",
    "draining": "yellow",
    "lost": "red",
}


def open_streams() -> None:
    """Make stdout and stderr accept everything that is written to them.

    A character that the terminal's encoding (cp1252, ASCII) lacks becomes `?`. Output to a stream that the caller has
    closed is dropped.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123  open until the end
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def discard_stdout() -> None:
    """Drop what is still in stdout's buffer, which Python would write again when it exits."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def console(*, err: bool = False) -> Console:
    """A console for stdout, or for stderr."""
    stream = sys.stderr if err else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False, soft_wrap=False)


def hint(text: str) -> None:
    """Print a line for a person on stderr; above a live view, which click's own echo does not do."""
    screen = console(err=True)
    screen.print(literal(_as_typed_here(text)), soft_wrap=not screen.is_terminal)


def _as_typed_here(text: str) -> str:
    """`text` with the path of the command `fitstop` if it is not on the PATH, as after `make demo`."""
    program = Path(sys.argv[0])
    if program.name != "fitstop" or shutil.which("fitstop"):
        return text
    return re.sub(r"\bfitstop (?=[a-z-])", lambda _: f"{os.path.relpath(program)} ", text)


def print_json(document: Any) -> None:
    """Print the API's own document on stdout."""
    click.echo(json.dumps(document, indent=2))


def plain(value: object) -> str:
    """`value` as text in which control and format characters are visible escapes."""
    return "".join(character if character.isprintable() else _visible(character) for character in str(value))


def plain_lines(text: str) -> str:
    """`plain` for text with several lines: line feeds and tabs are kept."""
    return "\n".join("\t".join(plain(cell) for cell in line.split("\t")) for line in text.split("\n"))


def _visible(character: str) -> str:
    if unicodedata.category(character) == "Zs":
        return " "
    return character.encode("unicode_escape").decode("ascii")


def literal(value: object, style: str = "") -> Text:
    """`value` as Text for a table or a line, without markup."""
    return Text(plain(value), style=style)


class JobId:
    """A job's id in a table. Without space its middle is left out, since people type its beginning or end."""

    def __init__(self, job_id: object) -> None:
        self._text = plain(job_id)

    def __rich_measure__(self, _console: Console, _options: ConsoleOptions) -> Measurement:
        return Measurement(min(_LEAST_ID, len(self._text)), len(self._text))

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(cut_middle(self._text, options.max_width), no_wrap=True)


def cut_middle(text: str, width: int) -> str:
    """`text` in at most `width` characters: its beginning and its end, with `…` between them."""
    if len(text) <= width:
        return text
    end = max(0, width - 1) // 2
    return f"{text[: max(0, width - 1 - end)]}…{text[len(text) - end :]}"[:width]


def status_text(status: object) -> Text:
    """A status as Text in its colour."""
    return literal(status, _STATUS_STYLES.get(str(status), ""))


def table(*columns: str, right: tuple[str, ...] = (), narrow: tuple[str, ...] = ()) -> Table:
    """A table without lines. Columns in `right` are aligned to the right; those in `narrow` are cut first."""
    grid = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for column in columns:
        justify: JustifyMethod = "right" if column in right else "left"
        grid.add_column(column, justify=justify, no_wrap=column not in narrow, overflow="ellipsis")
    return grid


def one_line(value: object) -> Text:
    """`value` as Text that is never wrapped, for a column that is cut first."""
    text = literal(value)
    text.no_wrap = True
    return text


def show_rows(rows: RenderableType) -> None:
    """Print a table or other rows on stdout; on a pipe, without spaces at the ends of lines."""
    screen = console()
    if screen.is_terminal:
        screen.print(rows)
        return
    with screen.capture() as captured:
        screen.print(rows)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def fields(rows: list[tuple[str, object]]) -> Table:
    """Names and values, one row for each; a value may be a Text."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rows:
        grid.add_row(Text(name), value if isinstance(value, Text) else literal(value))
    return grid


def print_error(error: ClientError) -> None:
    """Print an error on stderr, and how to fix it if that is known."""
    hint(f"fitstop: {error}")
    if isinstance(error, Answered):
        for problem in error.problem.errors:
            hint(f"  {problem}")
        if error.problem.status >= 500 and error.problem.request_id:
            hint(f"  request {error.problem.request_id}")
    if isinstance(error, Denied):
        hint("  Log in with an API key of this service, fitstop login URL, or set FITSTOP_API_KEY to one.")
    if isinstance(error, Unreachable):
        hint("  Is the service running? `fitstop up` starts one here; --url or FITSTOP_URL names another.")


# Numbers and times


def number(value: object) -> str:
    """A metric in about six characters; a dash for None."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return "-" if value is None else plain(value)
    if isinstance(value, int):
        return str(value)
    return f"{value:.4f}" if value == 0 or 0.001 <= abs(value) < 1000 else f"{value:.3g}"


def rate(value: object) -> str:
    """A learning rate, in as few digits as possible."""
    return f"{value:g}" if isinstance(value, int | float) else "-"


def money(amount: object) -> str:
    """An amount of money; a small one with more decimal places."""
    if not isinstance(amount, int | float):
        return "-"
    return f"{amount:.2f}" if amount == 0 or abs(amount) >= 1 else f"{amount:.4f}"


def size(count: object) -> str:
    """A number of bytes for a person."""
    if not isinstance(count, int | float):
        return "-"
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def duration(seconds: float) -> str:
    """A length of time for a person: 0.021 s, 12.3 s, 4 min 05 s, 2 h 10 min."""
    if seconds < 1:
        return f"{seconds:.3f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours} h {minutes_left:02d} min" if hours else f"{minutes} min {rest:02d} s"


def parse_time(text: object) -> datetime | None:
    """Parse an RFC 3339 time; None if it is not one."""
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None


def age(text: object) -> str:
    """How long ago a time was, in one unit: 12s, 5m, 3h, 9d."""
    moment = parse_time(text)
    if moment is None:
        return "-"
    seconds = max(0, int((datetime.now(UTC) - moment).total_seconds()))
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def clock(text: object) -> str:
    """The local time of day, such as 14:05:59."""
    moment = parse_time(text)
    return moment.astimezone().strftime("%H:%M:%S") if moment else "--:--:--"
