"""Sweeps: sweep, sweeps, trials."""

from typing import Any

import click

from fitstop.cli.base import examples, open_client, output_option
from fitstop.cli.completion import sweep_argument
from fitstop.cli.spec_file import read_assigned
from fitstop.cli.submitted import print_submitted, print_warnings
from fitstop.cli.sweep_ids import find_sweep_id
from fitstop.terminal.output import (
    JobId,
    age,
    hint,
    literal,
    number,
    print_json,
    show_rows,
    status_text,
    table,
)
from fitstop.terminal.sweep_view import count_words, spent_words, trial_table


@click.command(
    epilog=examples(
        "fitstop sweep sweep.yaml --watch",
        "fitstop sweep sweep.yaml --set trials=100 --set rule.name=asha",
    )
)
@click.argument("file", type=click.File("rb"))
@click.option(
    "--set", "assignments", multiple=True, metavar="A.B=C", help="Set one value of the spec, as JSON or as text."
)
@click.option("--watch", "watching", is_flag=True, help="Watch the sweep; Ctrl-C leaves it running.")
@click.option("--dry-run", is_flag=True, help="Check the spec and print what would run, and store nothing.")
@output_option
@click.pass_context
def sweep(  # noqa: PLR0913, PLR0917  one for each option
    ctx: click.Context,
    file: Any,
    assignments: tuple[str, ...],
    watching: bool,  # noqa: FBT001
    dry_run: bool,  # noqa: FBT001
    output: str,
) -> None:
    """Submit a sweep and print its id.

    FILE is the spec of the sweep as JSON or YAML; - reads stdin. Each trial is a job. watch, show, explain, replay,
    extend, cancel and rm also take a sweep. With --watch the exit status says whether the sweep succeeded.
    """
    spec, client = read_assigned(file, assignments), open_client(ctx)
    if dry_run:
        print_json(print_warnings(client.dry_run_sweep(spec)))
        return
    print_submitted(ctx, client, client.submit_sweep(spec), output, watching=watching)


@click.command()
@click.option("-q", "--quiet", is_flag=True, help="Print only ids.")
@output_option
@click.pass_context
def sweeps(ctx: click.Context, quiet: bool, output: str) -> None:  # noqa: FBT001  an option
    """List the sweeps, newest first."""
    found = list(open_client(ctx).all_sweeps())
    if output == "json":
        print_json({"object": "list", "data": found})
        return
    if quiet:
        for one in found:
            click.echo(one["id"])
        return
    if not found:
        hint("No sweeps. `fitstop sweep sweep.yaml` submits one.")
        return
    grid = table("ID", "NAME", "STATUS", "TRIALS", "BEST", "SPENT", "AGE", right=("AGE",))
    for one in found:
        best = f"{one['objective']['monitor']} {number(one['best']['value'])}" if one["best"] else "-"
        grid.add_row(
            JobId(one["id"]),
            literal(one["name"]),
            status_text(one["status"]),
            count_words(one),
            literal(best),
            spent_words(one),
            age(one["created_at"]),
        )
    show_rows(grid)
    for one in found:
        if one["waiting"]:
            hint(f"{one['name']}: the next trial waits: {one['waiting']}")


@click.command(epilog=examples("fitstop trials SWEEP --best -n 5"))
@sweep_argument
@click.option("--best", is_flag=True, help="Order by the value of the objective, the best first.")
@click.option("-n", "count", type=click.IntRange(1), help="Print only the first N trials.")
@output_option
@click.pass_context
def trials(ctx: click.Context, name: str, best: bool, count: int | None, output: str) -> None:  # noqa: FBT001
    """List the trials of a sweep. SWEEP is an id, or its beginning or end, or a name.

    Each trial has the value of the objective, its parameters and its job.
    """
    client = open_client(ctx)
    document = client.sweep(find_sweep_id(client, name))
    found = list(client.all_trials(document["id"]))
    if best:
        sign = -1 if document["objective"]["mode"] == "max" else 1
        found.sort(key=lambda one: (one["value"] is None, sign * (one["value"] or 0)))
    shown = found[:count]
    if output == "json":
        print_json({"object": "list", "data": shown})
    elif shown:
        show_rows(trial_table(shown, document))
    else:
        hint("No trial yet. Workers propose the trials; `fitstop workers` lists the workers.")
