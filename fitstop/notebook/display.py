"""Shows a job in the output of a notebook's cell while `wait` waits for it."""

import importlib
import sys
from collections.abc import Iterator
from typing import Any

from fitstop.client import Client, Json
from fitstop.notebook.html import Picture, picture_html
from fitstop.terminal.follow import Moment, follow
from fitstop.terminal.forecast_reader import ForecastReader

_LOOK_SECONDS = 0.5


def is_notebook() -> bool:
    """Whether this process is a Jupyter kernel. Does not import IPython."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


def watch_in_notebook(client: Client, job_id: str, timeout: float | None = None) -> Json:
    """Show a job under the cell until it has finished, and return it. Raises as `fitstop.terminal.watch.watch`."""
    return show(follow(client, job_id, look_seconds=_LOOK_SECONDS, timeout=timeout), client)


def show(moments: Iterator[Moment], client: Client) -> Json:
    """Show the moments of a job in one output, each instead of the one before, and return the job."""
    display = importlib.import_module("IPython.display")
    forecasts, epochs, handle, shown = ForecastReader(client), dict[int, Json](), None, ""
    job: Json = {}
    for moment in moments:
        job = moment.job or job
        epochs.update(_epochs(moment))
        url = f"{client.connection.url}/page/jobs/{job.get('id')}"
        html = picture_html(Picture(job, epochs, forecasts.of(job), moment.trouble, url))
        if html != shown:
            handle, shown = _put(display, handle, html), html
    return job


def _put(display: Any, handle: Any, html: str) -> Any:
    if handle is None:
        return display.display(display.HTML(html), display_id=True)
    handle.update(display.HTML(html))
    return handle


def _epochs(moment: Moment) -> dict[int, Json]:
    """The metrics of each epoch in the moment's events, by epoch."""
    reported = (event.get("data") or {} for event in moment.events if event.get("type") == "epoch")
    return {int(data["epoch"]): data.get("metrics") or {} for data in reported if "epoch" in data}
