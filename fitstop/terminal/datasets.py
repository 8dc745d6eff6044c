"""Datasets on a terminal: what is in one, and how much of an upload was sent."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

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


@contextmanager
def show_sent() -> Iterator[Callable[[int, int], None] | None]:
    """A function that shows how many bytes were sent, of how many; None where stderr is no terminal."""
    screen = Console(stderr=True)
    if not screen.is_terminal:
        yield None
        return
    with Progress(*_COLUMNS, console=screen, transient=True) as progress:
        task = progress.add_task("upload", total=None)

        def show(sent: int, size: int) -> None:
            # The service still reads what it has received.
            progress.update(task, completed=sent, total=size, description="upload" if sent < size else "reading")

        yield show
