"""A job in a terminal: its live view, its fields, and how it has ended in sentences."""

from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from fitstop.client import TERMINAL, Json
from fitstop.terminal.evaluation import evaluation_words
from fitstop.terminal.output import duration, fields, literal, money, number, plain_lines, rate, status_text
from fitstop.terminal.system import system_words


class Bar:
    """A progress bar of `done` out of `total`, with a mark at `mark`, at most 60 wide. Uses ASCII without UTF-8."""

    def __init__(self, done: float, total: float, *, mark: float | None = None, style: str = "cyan") -> None:
        self._done, self._total, self._mark, self._style = done, max(total, 1), mark, style

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the bar in the available width."""
        full, rest, mark = ("=", "-", "|") if options.ascii_only else ("━", "─", "┃")
        width = min(options.max_width, 60)
        filled = min(width, round(width * self._done / self._total))
        if self._done > 0:
            filled = max(1, filled)
        line = Text(full * filled, self._style) + Text(rest * (width - filled), "dim")
        if self._mark is not None:
            place = min(width - 1, int(width * self._mark / self._total))
            line = line[:place] + Text(mark, "bold yellow") + line[place + 1 :]
        yield line


def job_picture(job: Json, trouble: str | None = None, forecast: Json | None = None) -> RenderableType:
    """The live view of a job: a maximum of ten lines, for 80 columns or more."""
    parts: list[RenderableType] = [_headline(job)]
    progress = job.get("progress")
    if progress:
        forecast = forecast if job["status"] == "running" else None
        parts.append(_progress(progress, forecast, has_ended=job["status"] in TERMINAL))
    budget = budget_words(job)
    if budget and job["status"] not in TERMINAL:
        parts.append(Text.assemble(("budget  ", "bold"), literal(budget)))
    if trouble:
        parts.append(literal(f"{trouble} (trying again)", "yellow"))
    return Group(*parts)


def _headline(job: Json) -> Text:
    worker = job.get("worker") or {}
    line = Text.assemble(literal(job.get("name") or "", "bold"), "  ", status_text(job["status"]))
    if job["status"] == "queued":
        line += Text(f"  {queue_place(job)}")
    elif worker:
        line += literal(f"  {worker.get('device')} on {worker.get('host')}", "dim")
    if (job.get("attempt") or 1) > 1:
        line += Text(f"  attempt {job['attempt']}", "yellow")
    return line


def budget_words(job: Json) -> str:
    """The limits of a job's budget, and how much of each is used; empty without a budget."""
    budget, ledger = (job.get("spec") or {}).get("budget") or {}, job.get("ledger") or {}
    seconds = (ledger.get("gpu_seconds") or {}).get("total") or 0.0
    words = []
    if budget.get("max_gpu_seconds"):
        words.append(f"{duration(seconds)} of {duration(budget['max_gpu_seconds'])} of compute time used")
    if budget.get("max_cost"):
        used = ", ".join(f"{money(one.get('total'))} {one.get('currency')}" for one in ledger.get("costs") or [])
        words.append(f"{used or 'nothing'} of {money(budget['max_cost'])} spent")
    if budget.get("deadline"):
        words.append(f"deadline {budget['deadline']}")
    return "; ".join(words)


def queue_place(job: Json) -> str:
    """The place of a queued job in the queue, in words."""
    position = job.get("queue_position")
    if position is None:
        return "waiting"
    return "next in the queue" if position <= 1 else f"number {position} in the queue"


def _progress(progress: Json, forecast: Json | None, *, has_ended: bool) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(ratio=1)
    stopping = progress.get("early_stopping") or {}
    epoch, epochs = progress["epoch"], progress["epochs"]
    stops_at = None if has_ended else stopping.get("stops_at_epoch")
    foreseen = (forecast or {}).get("stop")
    if foreseen:
        grid.add_row("epoch", Bar(epoch, max(foreseen["p90"], epoch), mark=foreseen["p50"]))
    else:
        grid.add_row("epoch", Bar(epoch, epochs, mark=stops_at))
    grid.add_row("", _epoch_words(epoch, epochs, {} if has_ended else stopping))
    if stopping:
        grid.add_row("patience", _patience(stopping))
    if forecast and foreseen:
        grid.add_row("forecast", forecast_words(forecast))
    grid.add_row("best", best_words(progress))
    grid.add_row("rate", _rate_words(progress))
    for name, line in _metric_rows(progress.get("metrics") or {}):
        grid.add_row(name, line)
    return grid


def _epoch_words(epoch: int, epochs: int, stopping: Json) -> Text:
    words = Text(f"{epoch} of {epochs}")
    stops_at = stopping.get("stops_at_epoch")
    if stops_at is not None and stops_at < epochs:
        words += literal(f"; stops at {stops_at} unless {stopping.get('monitor')} improves", "yellow")
    return words


def _patience(stopping: Json) -> Text:
    wait, patience = stopping["wait"], stopping["patience"]
    cells = min(patience, 30)
    used = min(cells, -(-wait * cells // patience))
    style = "green" if wait * 2 < patience else "yellow" if wait < patience else "red"
    return Text.assemble(("■" * used, style), ("□" * (cells - used), "dim"), f"  {wait} of {patience} used")


def forecast_words(forecast: Json) -> Text:
    """The predicted stop, the time and cost until then, and the chance of a better epoch."""
    stop, left = forecast["stop"], forecast.get("seconds_left") or {}
    words = Text.assemble("stops near ", (str(stop["p50"]), "bold"), f" ({stop['p10']} to {stop['p90']})")
    if isinstance(left.get("p50"), int | float):
        words += Text(f", in {duration(left['p50'])}")
    for cost in forecast.get("costs_left") or []:
        words += literal(f", {money(cost.get('p50'))} {cost.get('currency')}")
    chance = forecast.get("chance_of_better")
    if isinstance(chance, int | float):
        words += Text(f"; {chance:.0%} to improve", "dim")
    return words


def best_words(progress: Json) -> Text:
    """The value and epoch of the best model in a job's `progress` or `stop`."""
    best = progress.get("best")
    if not best:
        return Text("none", "dim")
    return Text.assemble(
        literal(f"{best['monitor']} "), (number(best["value"]), "bold green"), literal(f" at epoch {best['epoch']}")
    )


def _rate_words(progress: Json) -> Text:
    words = Text(rate(progress.get("learning_rate")))
    plateau = progress.get("reduce_lr")
    if plateau:
        wait, patience = plateau["wait"], plateau["patience"]
        # Keras counts beyond the patience only if the rate is at its minimum.
        words += Text("  at its minimum" if wait > patience else f"  plateau {wait} of {patience}", "dim")
    seconds = progress.get("epoch_seconds")
    if isinstance(seconds, int | float):
        words += Text(f"  {duration(seconds)} per epoch", "dim")
    return words


def _metric_rows(metrics: Json) -> list[tuple[str, Text]]:
    validation = {name.removeprefix("val_"): value for name, value in metrics.items() if name.startswith("val_")}
    training = {name: value for name, value in metrics.items() if not name.startswith("val_")}
    rows = [("training", training), ("validation", validation)]
    return [(name, _metric_line(values)) for name, values in rows if values]


def _metric_line(metrics: Json) -> Text:
    line = Text()
    for name, value in metrics.items():
        line += Text.assemble(literal(f"{name} ", "dim"), f"{number(value):<8}")
    line.rstrip()
    return line


def ending(job: Json) -> list[Text]:
    """How a job has ended, in lines: its status and reason, the best model, the error."""
    stop = job.get("stop") or {}
    lines = [Text.assemble(status_text(job["status"]), literal(": " + _reason(job, stop)))]
    if stop.get("best"):
        not_run = stop.get("epochs_not_run")
        lines.append(Text.assemble("best model: ", best_words(stop), f"; {not_run} epochs not run" if not_run else ""))
    error = job.get("error")
    if error:
        lines.append(literal(f"{error.get('code')}: {error.get('message')}", "red"))
    return lines


_OF_SCRIPTS = {
    "callback": "stopped by a callback of its script",
    "script_ended": "its script ended without calling fit",
}


def _reason(job: Json, stop: Json) -> str:
    reason, last = stop.get("reason"), stop.get("last_epoch")
    if reason == "early_stopping":
        monitor, patience, improved = stop.get("monitor"), stop.get("patience"), stop.get("last_improvement") or {}
        where = f", its last improvement was at epoch {improved['epoch']}" if improved.get("epoch") else ""
        return f"stopped early at epoch {last}: {monitor} had not improved for {patience} epochs{where}"
    if reason in _WITH_EVIDENCE:
        return _WITH_EVIDENCE[reason](stop.get(reason) or {}, last)
    if reason == "epochs_completed":
        return f"all {last} epochs completed"
    if reason == "cancelled" or (reason is None and job["status"] == "cancelled"):
        return f"after epoch {last}" if last else "before its first epoch"
    if reason is None:
        return "no reason was recorded" if job["status"] in TERMINAL else "not finished"
    words = _OF_SCRIPTS.get(str(reason), str(reason))
    return f"{words} at epoch {last}" if last else words


def _reason_of_outclassed(found: Json, last: int | None) -> str:
    where = f"stopped by its sweep after epoch {last}"
    chance, monitor, to_beat = found.get("chance"), found.get("monitor"), number(found.get("to_beat"))
    if chance is not None:
        return f"{where}: {100 * chance:.3g} % chance to beat trial {found.get('best_trial')} ({monitor} {to_beat})"
    return f"{where}: {monitor} {number(found.get('value'))} at epoch {found.get('epoch')}, and {to_beat} was needed"


def _budget_reason(budget: Json, last: int | None) -> str:
    where = f"stopped after epoch {last}" if last else "ended before its first epoch was complete"
    if budget.get("kind") == "deadline":
        return f"{where}: deadline {budget.get('limit')}"
    unit = budget.get("currency") or ("s of compute time" if budget.get("kind") == "max_gpu_seconds" else "")
    return f"{where}: budget used up, {number(budget.get('used'))} of {number(budget.get('limit'))} {unit}".rstrip()


# By the reason of the stop, which is also the field with its evidence.
_WITH_EVIDENCE = {"budget": _budget_reason, "outclassed": _reason_of_outclassed}


def _what_it_trains(spec: Json) -> list[tuple[str, object]]:
    if program := spec.get("program"):
        words = " ".join([program.get("entry") or "", *(program.get("arguments") or [])])
        return [("program", literal(f"{program.get('id')}: {words}"))]
    return [
        ("dataset", _dataset_words(spec.get("dataset") or {})),
        ("model", literal(model_words(spec.get("model") or {}))),
        *([("devices", devices)] if (devices := (spec.get("hyperparameters") or {}).get("devices", 1)) > 1 else []),
    ]


def job_fields(job: Json, evaluation: Json | None = None, system: Json | None = None) -> Table:
    """The fields of a job for `fitstop show`, with its evaluation and system metrics if there are any."""
    progress = job.get("progress") or {}
    checkpoints = job.get("checkpoints") or {}
    spec = job.get("spec") or {}
    rows: list[tuple[str, object]] = [
        ("id", job["id"]),
        ("name", job.get("name") or "-"),
        ("status", status_text(job["status"])),
        *_what_it_trains(spec),
        ("created", job.get("created_at")),
        ("started", job.get("started_at") or "-"),
        ("finished", job.get("finished_at") or "-"),
        ("attempt", _attempt_words(job)),
    ]
    rows += [*_origin_rows(job), *_annotation_rows(job)]
    if job["status"] == "queued":
        rows.append(("queue", queue_place(job)))
    if job.get("worker"):
        rows.append(("worker", "{device} on {host}, slot {slot}".format_map(_Dashes(job["worker"]))))
    if progress:
        stopping = {} if job["status"] in TERMINAL else progress.get("early_stopping") or {}
        rows.append(("epoch", _epoch_words(progress["epoch"], progress["epochs"], stopping)))
        rows += [("best", best_words(progress)), ("learning rate", _rate_words(progress))]
        rows += list(_metric_rows(progress.get("metrics") or {}))
    if checkpoints.get("count"):
        rows.append(("checkpoints", f"{checkpoints['count']}, the best is {checkpoints.get('best')}"))
    rows += [("evaluation", evaluation_words(evaluation))] if evaluation else []
    rows += [("system", system_words(system, is_running=job["status"] == "running"))] if system else []
    rows += [(_kind_of(one), failure_words(one)) for one in job.get("failures") or []]
    rows += [("warning", one) for one in job.get("warnings") or []]
    rows += [("budget", words)] if (words := budget_words(job)) else []
    rows += _ledger_rows(job.get("ledger") or {})
    if job["status"] in TERMINAL:
        rows.append(("ended", Text("\n").join(ending(job))))
    return fields(rows)


def _origin_rows(job: Json) -> Iterator[tuple[str, object]]:
    if job.get("project", "default") != "default":
        yield "project", job["project"]
    if job.get("extends"):
        yield "extends", literal(f"{job['extends']}, from its {job.get('extends_from')}")
    if job.get("lineage"):
        yield "fine-tunes", Text("\n").join(map(_ancestor_words, job["lineage"]))


def _annotation_rows(job: Json) -> list[tuple[str, object]]:
    tags, note = job.get("tags"), job.get("note")
    rows: list[tuple[str, object]] = [("tags", literal(", ".join(tags)))] if tags else []
    return [*rows, ("note", Text(plain_lines(note)))] if note else rows


def _ledger_rows(ledger: Json) -> list[tuple[str, object]]:
    seconds = ledger.get("gpu_seconds") or {}
    if not seconds.get("total"):
        return []
    parts = ", ".join(
        f"{name.replace('_', '-')} {duration(time)}" for name, time in seconds.items() if name != "total" and time
    )
    rows: list[tuple[str, object]] = [("compute time", f"{duration(seconds['total'])}: {parts}")]
    for cost in ledger.get("costs") or []:
        avoided = f"; {money(cost['avoided'])} avoided" if cost.get("avoided") else ""
        rows.append(("cost", f"{money(cost.get('total'))} {cost.get('currency')}{avoided}"))
    return rows


class _Dashes(dict[str, object]):
    def __missing__(self, key: str) -> str:
        return "-"


def _dataset_words(dataset: Json) -> str:
    target = f", target {dataset['target']}" if dataset.get("target") else f" ({dataset.get('kind', 'table')})"
    return f"{dataset.get('id', '-')}{target}"


def _ancestor_words(one: Json) -> Text:
    name = f" ({one['name']})" if one.get("name") else ""
    return literal(f"{one.get('job')}{name}, its model of epoch {one.get('epoch')}")


def model_words(model: Json) -> str:
    """The model in a few words."""
    if model.get("kind") == "application":
        return str(model.get("name"))
    if model.get("kind") == "job":
        trained = {"all": "all layers", "head": "the head"}
        trainable = model.get("trainable", "all")
        return f"fine-tuned: {trained.get(str(trainable)) or f'the last {trainable} layers and the head'}"
    if model.get("kind") == "keras":
        inner = (model.get("config") or {}).get("config") or {}
        layers = len(inner.get("layers") or [])
        return f"Keras model {inner.get('name', '-')}, {layers} layer{'' if layers == 1 else 's'}"
    widths = " → ".join(map(str, model.get("layers") or model.get("filters") or []))
    return f"{model.get('kind', '-')} {widths}".rstrip()


def failure_words(failure: Json) -> str:
    """How an attempt without a result ended, where it ran, and why it ended."""
    why = ": ".join(str(failure[key]) for key in ("code", "message") if failure.get(key))
    where = f" on {failure['host']}" if failure.get("host") else ""
    outcome = str(failure.get("outcome")).replace("_", " ")
    return f"attempt {failure.get('attempt')} {outcome}{where}{'; ' + why if why else ''}"


def _kind_of(failure: Json) -> str:
    if failure.get("is_loss") or failure.get("outcome") == "lost":
        return "loss"
    return "handed back" if failure.get("outcome") == "handed_back" else "failure"


def _attempt_words(job: Json) -> str:
    """The number of attempts, and how those without a result ended."""
    counts = job.get("attempts") or {}
    ends = [f"{counts[key]} {key.replace('_', ' ')}" for key in ("lost", "failed", "handed_back") if counts.get(key)]
    return f"{job.get('attempt') or '-'}{': ' + ', '.join(ends) if ends else ''}"
