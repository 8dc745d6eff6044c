"""The demo's summary of a job: why it stopped, its checkpoints, its CSV."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fitstop.client import Client, Json
from fitstop.errors import NotFound
from fitstop.terminal.job_view import best_words, ending
from fitstop.terminal.output import console, duration, fields, literal, number, rate, show_rows, size, table

_SHOWN_ROWS = 2


@dataclass(frozen=True)
class Ended:
    """A finished job, the folder of its volume if it is on this machine, and the seconds from submission to result."""

    client: Client
    job: Json
    volume: Path | None
    seconds: float


def print_summary(ended: Ended) -> None:
    """Print the summary."""
    screen = console()
    screen.print()
    screen.print(literal(ended.job.get("name") or "", "bold"), literal(ended.job["id"], "dim"), sep="  ")
    screen.print()
    show_rows(fields(_facts(ended)))
    _print_checkpoints(screen, ended)
    _print_log(screen, ended)


def _facts(ended: Ended) -> list[tuple[str, object]]:
    job = ended.job
    stop = job.get("stop") or {}
    rows: list[tuple[str, object]] = [("ended", ending(job)[0])]
    if stop.get("best"):
        rows.append(("best", best_words(stop)))
    rows.append(("not run", f"{stop.get('epochs_not_run', 0)} of {_epochs(job)} epochs"))
    rows.append(("plateaus", Text("\n").join(_rate_drops(ended)) or "the learning rate was not reduced"))
    if job.get("error"):
        rows.append(("error", literal(f"{job['error'].get('code')}: {job['error'].get('message')}", "red")))
    rows.append(("wall time", f"{duration(ended.seconds)} from submission to result"))
    return rows


def _epochs(job: Json) -> object:
    reported = (job.get("progress") or {}).get("epochs", "?")
    return ((job.get("spec") or {}).get("hyperparameters") or {}).get("epochs", reported)


def _rate_drops(ended: Ended) -> list[Text]:
    events = ended.client.all_events(ended.job["id"])
    return [literal(event["message"]) for event in events if event.get("type") == "learning_rate"]


def _print_checkpoints(screen: Console, ended: Ended) -> None:
    saved = ended.client.checkpoints(ended.job["id"])["data"]
    screen.print()
    screen.print(Text("Checkpoints", "bold"), literal(checkpoint_folder(ended) or ""), sep="  ", soft_wrap=True)
    grid = table("NAME", "EPOCH", "SIZE", "", right=("EPOCH", "SIZE"))
    for one in saved:
        grid.add_row(
            literal(one["name"]), str(one["epoch"]), size(one["bytes"]), Text("best" if one["is_best"] else "", "green")
        )
    show_rows(grid if saved else Text("none"))


def checkpoint_folder(ended: Ended) -> Path | None:
    """The folder on the volume with the checkpoints of the newest attempt that has any. None for a bucket."""
    if ended.volume is None:
        return None
    job_id = str(ended.job["id"])
    attempts = ended.volume / "jobs" / job_id[-2:] / job_id / "attempts"
    folders = [attempts / str(number) / "checkpoints" for number in range(ended.job.get("attempt") or 1, 0, -1)]
    return next((folder for folder in folders if (folder / "manifest.json").exists()), folders[0])


def _print_log(screen: Console, ended: Ended) -> None:
    try:
        text = b"".join(ended.client.training_log(ended.job["id"])).decode()
    except NotFound:
        return
    rows = list(csv.reader(io.StringIO(text)))
    if len(rows) < 2:
        return
    header, body = rows[0], rows[1:]
    screen.print()
    screen.print(
        Text("training_log.csv", "bold"),
        Text(f"{len(body)} rows, shown as columns; epochs count from 0"),
        sep="  ",
        soft_wrap=True,
    )
    show_rows(_transpose(header, body))


def _transpose(header: list[str], body: list[list[str]]) -> Table:
    """A table with the rows as columns, because the columns of a log do not fit into 80 characters."""
    first, last = body[:_SHOWN_ROWS], body[_SHOWN_ROWS:][-_SHOWN_ROWS:]
    gap = len(body) > 2 * _SHOWN_ROWS
    shown = [*first, *([["…"] * len(header)] if gap else []), *last]
    labels = [row[0] for row in shown]
    grid = table(header[0], *labels, right=tuple(labels))
    for position, name in enumerate(header[1:], start=1):
        cells = [_cell(name, row[position]) for row in shown]
        grid.add_row(literal(name), *(literal(cell) for cell in cells))
    return grid


def _cell(name: str, text: str) -> str:
    try:
        value = float(text)
    except ValueError:
        return text
    return rate(value) if name in {"learning_rate", "lr"} else number(value)
