"""The command `fitstop doctor`."""

import os
from pathlib import Path

import click

from cli.commands.base import output_option
from cli.connection import DATA_VARIABLE, DEFAULT_DATA
from cli.doctor import look_at_all
from cli.exit_codes import ExitCode
from cli.output import hint, literal, print_json, show_rows, table

_STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}


@click.command()
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEFAULT_DATA,
    envvar=DATA_VARIABLE,
    show_default=True,
    help="The folder with everything that is kept.",
)
@output_option
@click.pass_context
def doctor(ctx: click.Context, data: Path, output: str) -> None:
    """Say whether this machine is fit for jobs.

    The GPU and its driver, a small model trained on it, the volume, Redis, the clock; each with the way to mend it. The
    first look at a new kind of GPU can take minutes. The exit status is 0 only without a problem; a warning is none.
    """
    volume = Path(os.environ.get("FITSTOP_VOLUME") or data / "volume")
    if output == "table":
        hint("Looking; training two small models takes some seconds …")
    findings = list(look_at_all(volume))
    if output == "json":
        print_json({"object": "list", "data": [one.document() for one in findings]})
    else:
        grid = table("WHAT", "STATUS", "FOUND")
        grid.columns[2].no_wrap, grid.columns[2].overflow = False, "fold"
        for one in findings:
            grid.add_row(literal(one.name), literal(one.status, _STYLES[one.status]), literal(one.detail))
            if one.mend and one.status != "ok":
                grid.add_row("", "", literal(f"→ {one.mend}"))
        show_rows(grid)
    if any(one.status == "problem" for one in findings):
        ctx.exit(ExitCode.UNFIT)
