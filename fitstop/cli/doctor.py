"""The command `fitstop doctor`."""

import os
from collections.abc import Sequence
from pathlib import Path

import click
from rich.text import Text

from fitstop.cli.base import output_option
from fitstop.cli.exit_codes import ExitCode
from fitstop.connection import DATA_VARIABLE, DEFAULT_DATA
from fitstop.local.doctor import Finding, look_at_all
from fitstop.terminal.output import hint, literal, print_json, show_rows, table

_STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}
_NAME_WIDTH, _STATUS_WIDTH = 14, 7


@click.command()
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEFAULT_DATA,
    envvar=DATA_VARIABLE,
    show_default=True,
    help="Folder that holds the volume, the logs and the key.",
)
@output_option
@click.pass_context
def doctor(ctx: click.Context, data: Path, output: str) -> None:
    """Check whether this machine can run jobs.

    Checks the GPU and its driver, the volume, Redis and the clock, and trains two small models. Prints how to fix each
    problem. The first check of a new kind of GPU can take minutes. The exit status is 8 if there is a problem; a
    warning is not a problem.
    """
    volume = Path(os.environ.get("FITSTOP_VOLUME") or data / "volume")
    if output == "json":
        findings = list(look_at_all(volume))
        print_json({"object": "list", "data": [one.document() for one in findings]})
    else:
        hint("Checking. The last check trains two small models: seconds, or minutes on a new kind of GPU …")
        findings = [_print_finding(one) for one in look_at_all(volume)]
        show_rows(_verdict(findings))
    if any(one.status == "problem" for one in findings):
        ctx.exit(ExitCode.UNFIT)


def _print_finding(one: Finding) -> Finding:
    """Print a finding at once: the checks that follow can take minutes."""
    grid = table("", "", "")
    grid.show_header = False
    grid.columns[0].width, grid.columns[1].width = _NAME_WIDTH, _STATUS_WIDTH
    grid.columns[2].no_wrap, grid.columns[2].overflow = False, "fold"
    grid.add_row(literal(one.name), literal(one.status, _STYLES[one.status]), literal(one.detail))
    if one.fix and one.status != "ok":
        grid.add_row("", "", literal(f"→ {one.fix}"))
    show_rows(grid)
    return one


def _verdict(findings: Sequence[Finding]) -> Text:
    problems, warnings = (sum(one.status == kind for one in findings) for kind in ("problem", "warning"))
    if problems:
        return literal(
            f"Not ready for jobs: {_plural(problems, 'problem')}, {_plural(warnings, 'warning')}.", "bold red"
        )
    return literal(f"Ready for jobs, with {_plural(warnings, 'warning')}.", "bold green")


def _plural(number: int, word: str) -> str:
    return f"{number or 'no'} {word}{'s' * (number != 1)}"
