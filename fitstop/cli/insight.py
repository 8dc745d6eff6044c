"""Why a job stopped, what it cost, and the effect of other settings: explain, replay, patience, usage."""

import click
from rich.table import Table
from rich.text import Text

from fitstop.cli.base import examples, open_client, output_option
from fitstop.cli.completion import complete_jobs, job_or_sweep_argument
from fitstop.cli.job_ids import find_job_id
from fitstop.cli.sweep_ids import find_job_or_sweep, is_sweep
from fitstop.client import Json
from fitstop.terminal.output import duration, fields, hint, literal, money, number, print_json, show_rows, table
from fitstop.terminal.sweep_view import importance_table

_GROUPS = ["day", "dataset", "key", "project", "worker"]
_RULES = ["forecast", "asha", "median", "none"]
_PATIENCE_HEADS = ("PATIENCE", "KNOWN", "EARLIER", "TIME SAVED", "COST SAVED", "WORSE", "WORST DIFFERENCE")
_PARTS = ("start_up", "learning", "patience", "redone", "saving")


@click.command()
@job_or_sweep_argument
@output_option
@click.pass_context
def explain(ctx: click.Context, job: str, output: str) -> None:
    """Explain why a job or sweep waits, runs or stopped.

    For a sweep, also show the importance of each parameter.
    """
    client = open_client(ctx)
    found = find_job_or_sweep(client, job)
    document = client.explain_sweep(found) if is_sweep(found) else client.explain(found)
    if output == "json":
        print_json(document)
        return
    for sentence in document["sentences"]:
        show_rows(literal(sentence))
    if document.get("importance"):
        show_rows(importance_table(document["importance"]))


@click.command(epilog=examples("fitstop replay JOB --patience 5"))
@job_or_sweep_argument
@click.option("--patience", type=click.IntRange(1), help="Epochs without improvement before early stopping.")
@click.option("--min-delta", type=click.FloatRange(0), help="Smallest change that counts as an improvement.")
@click.option("--start-from-epoch", type=click.IntRange(0), help="Warm-up epochs before early stopping counts.")
@click.option("--monitor", metavar="NAME", help="Metric to monitor.")
@click.option("--rule", type=click.Choice(_RULES), help="Rule of a sweep that stops its trials.")
@output_option
@click.pass_context
def replay(  # noqa: PLR0913, PLR0917  one for each option
    ctx: click.Context,
    job: str,
    patience: int | None,
    min_delta: float | None,
    start_from_epoch: int | None,
    monitor: str | None,
    rule: str | None,
    output: str,
) -> None:
    """Find where a job or sweep would have stopped with other settings.

    The answer is exact up to the last epoch that was trained. Later epochs are unknown. --rule is for a sweep: it shows
    the time that the rule would have saved, and whether it would have stopped the best trial.
    """
    client = open_client(ctx)
    found = find_job_or_sweep(client, job)
    if is_sweep(found):
        _replay_sweep(ctx, found, rule, output)
        return
    asked = {"patience": patience, "min_delta": min_delta, "start_from_epoch": start_from_epoch, "monitor": monitor}
    settings = {name: value for name, value in asked.items() if value is not None}
    if not settings:
        raise click.UsageError("give at least one of --patience, --min-delta, --start-from-epoch, --monitor")
    document = client.replay(found, settings)
    if output == "json":
        print_json(document)
    else:
        show_rows(_replay_table(document))


def _replay_sweep(ctx: click.Context, sweep_id: str, rule: str | None, output: str) -> None:
    if rule is None:
        raise click.UsageError("give --rule for a sweep")
    document = open_client(ctx).replay_sweep(sweep_id, {"name": rule})
    if output == "json":
        print_json(document)
    else:
        show_rows(literal(document["text"]))


def _replay_table(document: Json) -> Table:
    rule, saved, model = document["early_stopping"], document.get("saved"), document.get("model") or {}
    settings = f"{rule['monitor']}, patience {rule['patience']}, min_delta {rule['min_delta']:g}"
    rows: list[tuple[str, object]] = [("settings", settings), ("result", document["text"])]
    if saved:
        costs = "".join(f", {money(cost['amount'])} {cost['currency']}" for cost in saved.get("costs") or [])
        rows.append(("saved", f"{saved['epochs']} epochs, {duration(saved['gpu_seconds'])} of compute time{costs}"))
        lost = model.get("lost")
        worse = f", {number(lost)} worse than the best of the run" if lost else ", as good as the best of the run"
        rows.append(("model", f"best {rule['monitor']} {number(model.get('best_value'))}{worse}"))
    return fields(rows)


@click.command()
@click.argument("jobs", nargs=-1, metavar="[JOB]...", shell_complete=complete_jobs)
@click.option("--most", type=click.IntRange(1, 1000), default=30, show_default=True, help="Largest patience to try.")
@click.option("--tolerance", type=click.FloatRange(0), default=0.0, help="Accepted difference of the best value.")
@output_option
@click.pass_context
def patience(ctx: click.Context, jobs: tuple[str, ...], most: int, tolerance: float, output: str) -> None:
    """Compare early stopping patiences over past jobs.

    For each patience: the jobs for which its effect is known, how many would have stopped earlier, the time and cost
    saved, and how many would have had a worse best model, and by how much. Without JOB: the newest jobs that succeeded.
    """
    client = open_client(ctx)
    ids = [find_job_id(client, job) for job in jobs]
    document = client.patience(ids, most=most, tolerance=tolerance)
    if output == "json":
        print_json(document)
        return
    for one in document["data"]:
        _show_patience(one, tolerance)
    for one in document["left_out"]:
        hint(f"{one['job']} is left out: {one['reason']}")
    if not document["data"]:
        hint("No jobs to compare: no job has succeeded yet.")


def _show_patience(one: Json, tolerance: float) -> None:
    show_rows(
        Text.assemble(literal(one["monitor"], "bold"), f" over {one['jobs']} job{'' if one['jobs'] == 1 else 's'}")
    )
    grid = table(*_PATIENCE_HEADS, right=_PATIENCE_HEADS[:2])
    for row in one["rows"]:
        chosen = "bold green" if row["patience"] == one["smallest_patience"] else ""
        costs = ", ".join(f"{money(cost['amount'])} {cost['currency']}" for cost in row["costs_saved"]) or "-"
        cells = [
            str(row["patience"]),
            f"{row['jobs']} of {row['jobs'] + row['unknown']}",
            str(row["stopped_sooner"]),
            duration(row["gpu_seconds_saved"]),
            costs,
            str(row["jobs_worse"]),
            number(row["most_lost"]),
        ]
        if row["jobs"]:
            grid.add_row(*(literal(cell, chosen) for cell in cells))
    show_rows(grid)
    smallest = one["smallest_patience"]
    limit = f" by more than {tolerance:g}" if tolerance else ""
    if smallest:
        show_rows(Text(f"With patience {smallest} no job's best model would have been worse{limit}."))
    else:
        show_rows(Text(f"With every known patience the best model of a job would have been worse{limit}."))


@click.command()
@click.option("--by", type=click.Choice(_GROUPS), default="day", show_default=True, help="Grouping.")
@click.option("--from", "first", metavar="DAY", help="First day, such as 2026-11-23. Default: thirty days ago.")
@click.option("--to", "last", metavar="DAY", help="Last day. Default: today.")
@output_option
@click.pass_context
def usage(ctx: click.Context, by: str, first: str | None, last: str | None, output: str) -> None:
    """Report how past jobs used their compute time.

    Start-up, learning, patience, redone and saving, and the time that early stopping avoided.
    """
    document = open_client(ctx).usage(by, first, last)
    if output == "json":
        print_json(document)
        return
    heads = ("JOBS", "TIME", "START-UP", "LEARNING", "PATIENCE", "REDONE", "SAVING", "AVOIDED", "COST")
    grid = table(by.upper(), *heads, right=heads[:-1])
    for row in document["data"]:
        grid.add_row(literal(row[by]), *_usage_cells(row))
    if not document["data"]:
        hint(f"No job ended from {document['from']} to {document['to']}.")
        return
    grid.add_row(Text("total", "bold"), *_usage_cells(document["total"]))
    show_rows(grid)


def _usage_cells(row: Json) -> list[Text]:
    seconds = row["gpu_seconds"]
    costs = ", ".join(f"{money(cost['total'])} {cost['currency']}" for cost in row["costs"]) or "-"
    times = [seconds["total"], *(seconds[name] for name in _PARTS), row["avoided"]["gpu_seconds"]]
    return [Text(str(row["jobs"])), *(Text(duration(time)) for time in times), literal(costs)]
