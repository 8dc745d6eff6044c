"""`fitstop ps`: the list of jobs."""

import itertools
from collections.abc import Iterator
from typing import Any

import click
from rich.table import Table

from fitstop.cli.base import open_client, output_option
from fitstop.cli.sweep_ids import find_sweep_id
from fitstop.client import TERMINAL, Client, Json
from fitstop.errors import NotFound
from fitstop.terminal.output import (
    JobId,
    age,
    hint,
    literal,
    number,
    one_line,
    print_json,
    show_rows,
    status_text,
    table,
)

_RECENT_FINISHED = 5
_STATUSES = ["queued", "running", "succeeded", "failed", "cancelled"]


_METADATA = "metadata."
# The names of the orders in GET /jobs. The order by status needs a request for each status.
_SORTS = {"age": "-created", "name": "name", "best": "-best", "epoch": "-epoch", "finished": "-finished"}
_BY_STATUS = "status"


_ORDERS = (*_SORTS, _BY_STATUS)


def _as_order(_ctx: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """Check that the order is a known one or `metadata.NAME`."""
    if value is None or value in _ORDERS or (value.startswith(_METADATA) and value != _METADATA):
        return value
    raise click.BadParameter(f'received "{value}", expected {", ".join(_ORDERS)} or {_METADATA}NAME')


def _complete_order(_ctx: click.Context, _option: click.Parameter, begin: str) -> list[str]:
    return [one for one in (*_ORDERS, _METADATA) if one.startswith(begin)]


def _as_filters(_ctx: click.Context, _option: click.Parameter, pairs: tuple[str, ...]) -> dict[str, str]:
    """Convert NAME=VALUE to filters of GET /jobs."""
    wrong = [pair for pair in pairs if not pair.partition("=")[0] or "=" not in pair]
    if wrong:
        raise click.BadParameter(f'received "{wrong[0]}", expected NAME=VALUE')
    return {f"metadata.{name}": value for name, _, value in (pair.partition("=") for pair in pairs)}


@click.command()
@click.option("-a", "--all", "everything", is_flag=True, help="List all jobs.")
@click.option("-n", "count", type=click.IntRange(1), help="List the newest N jobs.")
@click.option("--status", type=click.Choice(_STATUSES), help="List only jobs with this status.")
@click.option("--name", "search", metavar="TEXT", help="List only jobs whose name contains TEXT, in any case.")
@click.option(
    "--metadata",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_as_filters,
    help="List only jobs with this metadata. May be repeated.",
)
@click.option("--tag", "tags", metavar="TAG", multiple=True, help="List only jobs with this tag. May be repeated.")
@click.option("--trials", is_flag=True, help="List the trials of sweeps, too.")
@click.option("--sweep", metavar="SWEEP", help="List only the trials of this sweep, by its id or name.")
@click.option(
    "--sort",
    metavar="ORDER",
    callback=_as_order,
    shell_complete=_complete_order,
    help="List all jobs in this order: age, name, status, best, epoch, finished or metadata.NAME.",
)
@click.option("-r", "--reverse", is_flag=True, help="Reverse the order of --sort.")
@click.option("-q", "--quiet", is_flag=True, help="Print only ids.")
@output_option
@click.pass_context
def ps(  # noqa: PLR0913, PLR0917  one for each option
    ctx: click.Context,
    everything: bool,  # noqa: FBT001
    count: int | None,
    status: str | None,
    search: str | None,
    metadata: dict[str, str],
    tags: tuple[str, ...],
    trials: bool,  # noqa: FBT001
    sweep: str | None,
    sort: str | None,
    reverse: bool,  # noqa: FBT001
    quiet: bool,  # noqa: FBT001
    output: str,
) -> None:
    """List unfinished jobs and the latest finished ones.

    The trials of sweeps are left out unless --trials or --sweep is given; `fitstop sweeps` lists the sweeps.

    `--sort best` and `--sort epoch` begin with the greatest value, `--sort finished` with the latest. Jobs without a
    value come last; unfinished jobs have no best value and no epoch there.
    """
    if reverse and not sort:
        raise click.UsageError("--reverse needs --sort")
    client = open_client(ctx)
    of_sweep = {"sweep": find_sweep_id(client, sweep) if sweep else None if trials else "none"}
    filters = {"status": status, "search": search, "tag": list(tags), **metadata}
    if everything or count or sweep or sort or any(filters.values()):
        found = _in_order(client, sort or "age", {**of_sweep, **filters}, reverse=reverse)
        jobs = list(itertools.islice(found, None if everything else count or 100))
    else:
        jobs = _unfinished_and_recent(client, of_sweep)
    if output == "json":
        print_json({"object": "list", "data": jobs})
        return
    if quiet:
        for job in jobs:
            click.echo(job["id"])
        return
    _show_table(client, jobs, has_trials=trials or sweep is not None)


def _in_order(client: Client, sort: str, filters: dict[str, Any], *, reverse: bool) -> Iterator[Json]:
    """Yield all jobs that match the filters, in the order of the service."""
    if sort == _BY_STATUS:
        statuses = [filters["status"]] if filters["status"] else _STATUSES
        for status in reversed(statuses) if reverse else statuses:
            yield from client.all_jobs(**{**filters, "status": status})
        return
    order = _SORTS.get(sort, sort)
    if reverse:
        order = order.removeprefix("-") if order.startswith("-") else f"-{order}"
    yield from client.all_jobs(**filters, **({} if order == _SORTS["age"] else {"sort": order}))


def _show_table(client: Client, jobs: list[Json], *, has_trials: bool) -> None:
    sweeps = [] if has_trials else _newest_sweeps(client)
    if jobs:
        show_rows(_job_table(jobs))
    elif sweeps:
        hint("No jobs except trials of sweeps: `fitstop ps --trials` lists them, `fitstop sweeps` the sweeps.")
    else:
        hint("No jobs. `fitstop demo` runs an example; `fitstop submit job.json` submits yours.")
    _show_running_sweeps(sweeps)
    for one in client.jobs(limit=1).get("set_aside") or []:
        hint(f"not listed: {one['id']}: {one['message']}")


def _newest_sweeps(client: Client) -> list[Json]:
    try:
        newest: list[Json] = client.sweeps(limit=100)["data"]
    except NotFound:
        return []  # a service without sweeps
    return newest


def _show_running_sweeps(sweeps: list[Json]) -> None:
    running = [one for one in sweeps if one["status"] not in TERMINAL]
    if running:
        words = "1 sweep runs" if len(running) == 1 else f"{len(running)} sweeps run"
        hint(f"{words}. `fitstop sweeps` lists them, `fitstop ps --trials` their trials.")


def _unfinished_and_recent(client: Client, of_sweep: dict[str, str | None]) -> list[Json]:
    newest = client.jobs(limit=100, **of_sweep)["data"]
    unfinished = [*client.all_jobs(status="running", **of_sweep), *client.all_jobs(status="queued", **of_sweep)]
    finished = [job for job in newest if job["status"] in TERMINAL][:_RECENT_FINISHED]
    # A job that ended between the two requests is in both answers.
    chosen = {job["id"]: job for job in [*unfinished, *finished]}
    return [chosen[job_id] for job_id in sorted(chosen, reverse=True)]


def _job_table(jobs: list[Json]) -> Table:
    grid = table("ID", "NAME", "STATUS", "EPOCH", "BEST", "AGE", right=("EPOCH", "AGE"), narrow=("ID", "NAME"))
    for job in jobs:
        progress = job.get("progress") or {}
        best = progress.get("best")
        epoch = f"{progress['epoch']}/{progress['epochs']}" if progress else "-"
        grid.add_row(
            JobId(job["id"]),
            one_line(job.get("name") or "-"),
            status_text(job["status"]),
            epoch,
            literal(f"{best['monitor']} {number(best['value'])}" if best else "-"),
            age(job.get("created_at")),
        )
    return grid
