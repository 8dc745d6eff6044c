"""A sweep in a terminal: its fields, its trials, and the names of its parameters."""

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fitstop.client import TERMINAL, Json
from fitstop.terminal.output import JobId, duration, fields, literal, money, number, rate, status_text, table

# The statuses of a trial that has not ended.
UNFINISHED = ("proposed", "queued", "running")
_MOST_VALUE = 24
_BAR = 30
_REASONS = {
    "completed": "all trials are completed",
    "budget": "the budget is used up",
    "failed_trials": "too many trials without a result",
    "data_changed": "its data has changed",
}


def short_names(pointers: Iterable[str]) -> dict[str, str]:
    """The shortest unique end of each JSON pointer: `/hyperparameters/dropout` becomes `dropout`."""
    parts = {pointer: pointer.strip("/").split("/") for pointer in pointers}
    names = {}
    for pointer, own in parts.items():
        # An index in a list needs the name of the list.
        length = 2 if own[-1].isdecimal() else 1
        while any(one[-length:] == own[-length:] for other, one in parts.items() if other != pointer):
            length += 1
        names[pointer] = ".".join(part.replace("~1", "/").replace("~0", "~") for part in own[-length:])
    return names


def parameter_words(parameters: Json, names: dict[str, str]) -> Text:
    """Such as `learning_rate 0.003  units 64`."""
    words = (f"{names.get(pointer, pointer)} {_value(value)}" for pointer, value in parameters.items())
    return literal("  ".join(words))


def trial_state(trial: Json) -> Text:
    """The status of a trial; `outclassed` if the sweep's rule stopped it."""
    return Text("outclassed", "magenta") if trial["reason"] == "outclassed" else status_text(trial["status"])


def trial_table(trials: Sequence[Json], sweep: Json) -> Table:
    """A row for each trial, a column for each parameter."""
    names = short_names(sweep["spec"]["space"])
    numbers = ("TRIAL", "EPOCH", str(sweep["objective"]["monitor"]), "TIME")
    heads = ("TRIAL", "STATUS", "EPOCH", numbers[2], "TIME", *(names[one] for one in names), "JOB")
    grid = table(*heads, right=numbers)
    best = (sweep["best"] or {}).get("number")
    for trial in trials:
        style = "bold green" if trial["number"] == best else ""
        grid.add_row(
            literal(trial["number"], style),
            trial_state(trial),
            str(trial["epoch"]),
            literal(number(trial["value"]), style),
            duration(trial["gpu_seconds"]),
            *(literal(_value(trial["parameters"].get(pointer))) for pointer in names),
            JobId(trial["job"]),
        )
    return grid


def importance_table(importance: Sequence[Json]) -> Table:
    """A row for each parameter, the most important first, with a bar."""
    names = short_names(one["parameter"] for one in importance)
    grid = table("IMPORTANCE", "", "PARAMETER", right=("IMPORTANCE",))
    for one in importance:
        bar = Text("━" * round(_BAR * one["importance"]), "cyan")
        grid.add_row(f"{one['importance']:.0%}", bar, literal(names[one["parameter"]]))
    return grid


def sweep_fields(sweep: Json) -> Table:
    """The fields of a sweep."""
    return fields([(name, value) for name, value in _facts(sweep) if value is not None])


def _facts(sweep: Json) -> Iterator[tuple[str, object]]:
    yield "id", sweep["id"]
    yield "name", sweep["name"]
    yield "status", status_words(sweep)
    yield "trials", count_words(sweep)
    yield "objective", f"{sweep['objective']['monitor']} ({sweep['objective']['mode']})"
    yield "sampler", f"{sweep['sampler']}, {sweep['parallel']} in parallel, seed {sweep['spec']['seed']}"
    yield "rule", sweep["rule"]
    yield "spent", spent_words(sweep)
    yield "budget", _budget_words(sweep)
    yield "best", best_words(sweep)
    if sweep["best"]:
        yield "parameters", parameter_words(sweep["best"]["parameters"], short_names(sweep["spec"]["space"]))


def status_words(sweep: Json) -> Text:
    """The status, and why the sweep has ended or its next trial waits."""
    words = status_text(sweep["status"])
    if sweep["reason"] and sweep["reason"] != sweep["status"]:
        words.append(f", {_REASONS.get(sweep['reason'], sweep['reason'].replace('_', ' '))}", "dim")
    elif sweep["cancel_requested_at"]:
        words.append(", cancel requested", "dim")
    elif sweep["waiting"]:
        words.append(f", the next trial waits: {sweep['waiting']}", "yellow")
    return words


def count_words(sweep: Json) -> str:
    """The number of trials, in total and of each status."""
    counts = sweep["counts"]
    parts = [f"{counts[name]} {name}" for name in ("running", "queued", "outclassed", "failed", "refused", "cancelled")]
    shown = [part for part in parts if not part.startswith("0 ")]
    return ", ".join([f"{counts['total']} of {counts['max']} trials", *shown])


def spent_words(sweep: Json) -> str:
    """Compute time and cost until now."""
    spent = sweep["spent"]
    costs = [f"{money(one['amount'])} {one['currency']}" for one in spent["costs"]]
    return ", ".join([f"{duration(spent['gpu_seconds'])} of compute time", *costs])


def best_words(sweep: Json) -> Text:
    """The best trial, its value and its job."""
    best = sweep["best"]
    if best is None:
        return Text("no trial has a value yet", "dim")
    value = Text(f"{sweep['objective']['monitor']} {number(best['value'])}", "bold green")
    return value.append(f"  trial {best['number']}  ", "default").append(best["job"], "dim")


def sweep_picture(sweep: Json, running: Sequence[Json], trouble: str | None) -> RenderableType:
    """The live view of a sweep: its fields, a progress bar, and the unfinished trials."""
    counts = sweep["counts"]
    finished = counts["total"] - sum(counts[name] for name in UNFINISHED)
    full = round(_BAR * finished / counts["max"])
    bar = Text.assemble(("━" * full, "cyan"), ("━" * (_BAR - full), "bright_black"), f" {finished} of {counts['max']}")
    rows: list[tuple[str, object]] = [
        ("sweep", Text.assemble(literal(sweep["name"], "bold"), "  ", status_words(sweep))),
        ("trials", bar),
        ("spent", spent_words(sweep)),
        ("best", best_words(sweep)),
    ]
    parts: list[RenderableType] = [fields(rows)]
    if running and sweep["status"] not in TERMINAL:
        parts.append(trial_table(running, sweep))
    if trouble:
        parts.append(literal(f"{trouble} (trying again)", "yellow"))
    return Group(*parts)


def _budget_words(sweep: Json) -> str | None:
    budget = {name: value for name, value in (sweep["spec"]["budget"] or {}).items() if value is not None}
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in budget.items()) or None


def _value(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)[:_MOST_VALUE]
    return rate(float(f"{value:.4g}")) if isinstance(value, float) else str(value)
