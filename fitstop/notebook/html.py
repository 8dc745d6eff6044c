"""A job as HTML for one output of a notebook. All text from outside is escaped."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape

from fitstop.client import TERMINAL, Json
from fitstop.notebook.curves import Line, chart
from fitstop.terminal.job_view import best_words, budget_words, ending, forecast_words, queue_place
from fitstop.terminal.output import duration, money, number, rate

_COLOURS = {"succeeded": "#1a7f37", "failed": "#cf222e", "cancelled": "#8250df", "running": "#0969da"}
_MOST_SQUARES = 30
_TRAINING, _VALIDATION = "#0072B2", "#D55E00"


@dataclass(frozen=True)
class Picture:
    """What is shown at one moment. `epochs`: the metrics by epoch. `trouble`: why there is no newer answer."""

    job: Json
    epochs: Mapping[int, Json] = field(default_factory=dict)
    forecast: Json | None = None
    trouble: str | None = None
    url: str = ""


def picture_html(picture: Picture) -> str:
    """The complete output."""
    job, rows = picture.job, _rows(picture)
    cells = "".join(
        f'<tr><td style="text-align:left;color:#656d76;padding:1px 12px 1px 0">{escape(name)}</td>'
        f'<td style="text-align:left;padding:1px 0">{content}</td></tr>'
        for name, content in rows
    )
    trouble = f'<div style="color:#9a6700">{escape(picture.trouble)} (trying again)</div>' if picture.trouble else ""
    return (
        f'<div style="font:13px system-ui,sans-serif;line-height:1.5">{_headline(job, picture.url)}{trouble}'
        f'<table style="border:0;border-collapse:collapse">{cells}</table>'
        f'<div style="display:flex;flex-wrap:wrap;gap:16px">{_charts(picture)}</div></div>'
    )


def _headline(job: Json, url: str) -> str:
    status = str(job.get("status") or "unknown")
    name = escape(str(job.get("name") or job.get("id") or "job"))
    link = f'<a href="{escape(url)}" target="_blank" rel="noopener">{name}</a>' if url.startswith("http") else name
    where = queue_place(job) if status == "queued" else _worker(job)
    colour = _COLOURS.get(status, "#656d76")
    return f'<b>{link}</b> <span style="color:{colour}">{escape(status)}</span> <small>{escape(where)}</small>'


def _worker(job: Json) -> str:
    worker = job.get("worker") or {}
    return f"{worker.get('device')} on {worker.get('host')}" if worker else ""


def _rows(picture: Picture) -> list[tuple[str, str]]:
    """The lines below the headline, each a name and its content as HTML."""
    job, progress = picture.job, picture.job.get("progress") or {}
    has_ended = job.get("status") in TERMINAL
    rows: list[tuple[str, str]] = []
    if progress:
        rows.append(("epoch", _epoch(progress, picture.forecast, has_ended=has_ended)))
        stopping = progress.get("early_stopping")
        if stopping and not has_ended:
            rows.append(("patience", _patience(stopping)))
        if picture.forecast and picture.forecast.get("stop") and not has_ended:
            rows.append(("forecast", escape(forecast_words(picture.forecast).plain)))
        rows.append(("best", escape(best_words(progress).plain)))
        rows.append(("learning rate", escape(rate(progress.get("learning_rate")))))
    rows += [(name, escape(words)) for name, words in _money(job)]
    if has_ended:
        rows.append(("ended", "<br>".join(escape(line.plain) for line in ending(job))))
    return rows


def _epoch(progress: Json, forecast: Json | None, *, has_ended: bool) -> str:
    epoch, epochs = progress["epoch"], progress["epochs"]
    stop = (forecast or {}).get("stop") or {}
    whole = epoch if has_ended else stop.get("p90") or epochs
    width = round(100 * min(1, epoch / max(whole, 1)))
    bar = (
        '<span style="display:inline-block;width:160px;height:8px;background:#d0d7de;border-radius:4px;'
        f'overflow:hidden"><span style="display:block;width:{width}%;height:8px;background:#0969da"></span></span>'
    )
    return f"{bar} {epoch} of {epochs}"


def _patience(stopping: Json) -> str:
    wait, patience = int(stopping["wait"]), int(stopping["patience"])
    cells = min(patience, _MOST_SQUARES)
    used = min(cells, -(-wait * cells // patience))
    squares = (
        f'<span style="color:#bf8700">{"■" * used}</span><span style="color:#d0d7de">{"□" * (cells - used)}</span>'
    )
    return f"{squares} {wait} of {patience} used, {max(0, patience - wait)} left"


def _money(job: Json) -> list[tuple[str, str]]:
    """Compute time and cost so far, and the budget if there is one."""
    ledger = job.get("ledger") or {}
    seconds = (ledger.get("gpu_seconds") or {}).get("total")
    rows = [("compute time", duration(seconds))] if seconds else []
    costs = [f"{money(one.get('total'))} {one.get('currency')}" for one in ledger.get("costs") or []]
    rows += [("cost", ", ".join(costs))] if costs else []
    words = budget_words(job)
    return [*rows, ("budget", words)] if words else rows


def _charts(picture: Picture) -> str:
    """Charts of the loss and of the best model's monitor, each for training and validation."""
    epochs = sorted(picture.epochs)
    if not epochs:
        return ""
    best = (picture.job.get("progress") or {}).get("best") or {}
    monitor = str(best.get("monitor") or "loss").removeprefix("val_")
    return "".join(_chart(picture, name, epochs, best) for name in dict.fromkeys(("loss", monitor)))


def _chart(picture: Picture, name: str, epochs: list[int], best: Json) -> str:
    lines = [
        Line(label, colour, [(epoch, picture.epochs[epoch].get(key)) for epoch in epochs])
        for key, label, colour in ((name, "training", _TRAINING), (f"val_{name}", "validation", _VALIDATION))
    ]
    mark = best.get("epoch") if best.get("monitor") in {name, f"val_{name}"} else None
    last = number(picture.epochs[epochs[-1]].get(f"val_{name}"))
    return chart(f"{name}: {last} in validation", lines, mark)
