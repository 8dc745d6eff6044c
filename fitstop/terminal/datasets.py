"""Datasets in a terminal: their content, and the progress of an upload."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from fitstop.client import Json
from fitstop.terminal.output import fields, literal, number, size, table

_PARTS = ("UNSPLIT", "TRAIN", "VALIDATION", "TEST")
_COLUMNS = (
    *(TextColumn("{task.description}"), BarColumn(), DownloadColumn()),
    *(TransferSpeedColumn(), TimeRemainingColumn()),
)


def describe_content(dataset: dict[str, Any]) -> str:
    """Such as `240 rows, 5 columns`, `37 images, 2 classes` or `60000 rows, 4 arrays`."""
    rows = dataset["rows"]
    if dataset.get("images"):
        return f"{_counted(rows, 'image')}, {_counted(len(dataset['images']['classes']), 'class')}"
    if dataset.get("arrays"):
        return f"{_counted(rows, 'row')}, {_counted(len(dataset['arrays']), 'array')}"
    return f"{_counted(rows, 'row')}, {_counted(len(dataset['columns']), 'column')}"


def _counted(count: int, noun: str) -> str:
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{count} {noun if count == 1 else plural}"


def dataset_fields(dataset: Json) -> Table:
    """The fields of a dataset."""
    warnings = [("warning", one) for one in dataset.get("warnings") or ()]
    return fields(
        [
            ("id", dataset["id"]),
            ("kind", dataset.get("kind", "table")),
            ("content", describe_content(dataset)),
            ("size", size(dataset.get("bytes"))),
            ("file", dataset.get("source_name") or "-"),
            ("created", dataset.get("created_at")),
            ("sha256", dataset.get("sha256")),
            *warnings,
        ]
    )


def dataset_parts(dataset: Json) -> Table:
    """The columns of a table, the classes of images, or the arrays."""
    if dataset.get("images"):
        grid = table("CLASS", *_PARTS, right=_PARTS)
        for one in dataset["images"]["classes"]:
            grid.add_row(literal(one["name"]), *(str(one.get(name.lower(), 0)) for name in _PARTS))
        return grid
    if dataset.get("arrays"):
        grid = table("ARRAY", "ROLE", "PART", "SHAPE", "TYPE")
        for one in dataset["arrays"]:
            shape = " x ".join(map(str, one["shape"]))
            grid.add_row(*map(literal, (one["name"], one["role"], one["part"], shape, one["dtype"])))
        return grid
    grid = table("COLUMN", "KIND", "MISSING", "DISTINCT", "RANGE", right=("MISSING", "DISTINCT"))
    for one in dataset["columns"]:
        low, high = one.get("minimum"), one.get("maximum")
        span = "" if low is None else f"{number(low)} to {number(high)}"
        grid.add_row(literal(one["name"]), literal(one["kind"]), str(one["missing"]), str(one["distinct"]), span)
    return grid


@contextmanager
def show_sent() -> Iterator[Callable[[int, int], None] | None]:
    """A function to call with the bytes sent so far and the total, which it shows; None if stderr is not a terminal."""
    screen = Console(stderr=True)
    if not screen.is_terminal:
        yield None
        return
    with Progress(*_COLUMNS, console=screen, transient=True) as progress:
        task = progress.add_task("upload", total=None)

        def show(sent: int, size: int) -> None:
            # When all is sent, the service still parses it.
            progress.update(task, completed=sent, total=size, description="upload" if sent < size else "reading")

        yield show
