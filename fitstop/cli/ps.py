"""`fitstop ps`: the list of jobs."""

import itertools
from collections.abc import Callable
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


def _best(job: Json) -> tuple[bool, float]:
    """The greatest value first; a job without one last."""
    best = ((job.get("progress") or {}).get("best") or {}).get("value")
    return best is None, -best if best is not None else 0.0


# Jobs come newest first, and stay so where they are equal.
_SORTS: dict[str, Callable[[Json], Any]] = {
    "age": lambda _: 0,
    "name": lambda job: str(job.get("name") or "").casefold(),
    "status": lambda job: _STATUSES.index(job["status"]),
    "epoch": lambda job: -((job.get("progress") or {}).get("epoch") or 0),
    "best": _best,
}


def _as_filters(_ctx: click.Context, _option: click.Parameter, pairs: tuple[str, ...]) -> dict[str, str]:
    """NAME=VALUE as the filters of GET /jobs."""
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
@click.option("--sort", type=click.Choice(list(_SORTS)), default="age", help="Order of the list. Default: age.")
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
    sort: str,
    quiet: bool,  # noqa: FBT001
    output: str,
) -> None:
    """List unfinished jobs and the latest finished ones.

    The trials of sweeps are left out unless --trials or --sweep is given; `fitstop sweeps` lists the sweeps.
    """
    client = open_client(ctx)
    of_sweep = {"sweep": find_sweep_id(client, sweep) if sweep else None if trials else "none"}
    filters = {"status": status, "search": search, "tag": list(tags), **metadata}
    if everything or count or sweep or any(filters.values()):
        jobs = list(itertools.islice(client.all_jobs(**of_sweep, **filters), None if everything else count or 100))
    else:
        jobs = _unfinished_and_recent(client, of_sweep)
    jobs.sort(key=_SORTS[sort])
    if output == "json":
        print_json({"object": "list", "data": jobs})
        return
    if quiet:
        for job in jobs:
            click.echo(job["id"])
        return
    _show_table(client, jobs, has_trials=trials or sweep is not None)


def _show_table(client: Client, jobs: list[Json], *, has_trials: bool) -> None:
    if jobs:
        show_rows(_job_table(jobs))
    else:
        hint("No jobs. `fitstop demo` runs an example; `fitstop submit job.json` submits yours.")
    if not has_trials:
        _show_running_sweeps(client)
    for one in client.jobs(limit=1).get("set_aside") or []:
        hint(f"not listed: {one['id']}: {one['message']}")


def _show_running_sweeps(client: Client) -> None:
    try:
        running = [one for one in client.sweeps(limit=100)["data"] if one["status"] not in TERMINAL]
    except NotFound:
        return  # a service without sweeps
    if running:
        words = "1 sweep runs" if len(running) == 1 else f"{len(running)} sweeps run"
        hint(f"{words}. `fitstop sweeps` lists them, `fitstop ps --trials` their trials.")


def _unfinished_and_recent(client: Client, of_sweep: dict[str, str | None]) -> list[Json]:
    newest = client.jobs(limit=100, **of_sweep)["data"]
    unfinished = [*client.all_jobs(status="running", **of_sweep), *client.all_jobs(status="queued", **of_sweep)]
    finished = [job for job in newest if job["status"] in TERMINAL][:_RECENT_FINISHED]
    # A job that ended between the two requests is in both.
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
