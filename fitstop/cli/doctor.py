"""The command `fitstop doctor`."""

import os
from collections.abc import Sequence
from pathlib import Path

import click
from rich.text import Text

from fitstop.cli.base import output_option
from fitstop.cli.exit_codes import ExitCode
from fitstop.connection import DATA_VARIABLE, DEFAULT_DATA
from fitstop.local.doctor import Finding, check_bucket, run_checks
from fitstop.terminal.output import hint, literal, print_json, show_rows, table

_STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}
_NAME_WIDTH, _STATUS_WIDTH = 14, 7
_CHECKING = "Checking. The last check trains two small models: seconds, or minutes on a new kind of GPU …"
_CHECKING_BUCKET = "Checking with about 700 small requests …"


@click.command()
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEFAULT_DATA,
    envvar=DATA_VARIABLE,
    show_default=True,
    help="Folder that holds the volume, the logs and the key.",
)
@click.option(
    "--bucket", metavar="ADDRESS", help="Check this bucket, such as s3://models/backup, instead of the machine."
)
@output_option
@click.pass_context
def doctor(ctx: click.Context, data: Path, bucket: str | None, output: str) -> None:
    """Check whether this machine can run jobs.

    Checks the GPU and its driver, the volume, Redis and the clock, and trains two small models. Prints how to fix each
    problem. The first check of a new kind of GPU can take minutes. The exit status is 8 if there is a problem; a
    warning is not a problem.

    With --bucket it checks whether a bucket can hold a volume: 16 writers race for one object, 20 times.
    """
    volume = os.environ.get("FITSTOP_VOLUME") or str(data / "volume")
    found = check_bucket(bucket) if bucket else run_checks(volume, data)
    if output == "json":
        findings = list(found)
        print_json({"object": "list", "data": [one.document() for one in findings]})
    else:
        hint(_CHECKING_BUCKET if bucket else _CHECKING)
        findings = [_print_finding(one) for one in found]
        show_rows(_verdict(findings, "a volume" if bucket else "jobs"))
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


def _verdict(findings: Sequence[Finding], purpose: str) -> Text:
    problems, warnings = (sum(one.status == kind for one in findings) for kind in ("problem", "warning"))
    if problems:
        return literal(
            f"Not ready for {purpose}: {_plural(problems, 'problem')}, {_plural(warnings, 'warning')}.", "bold red"
        )
    return literal(f"Ready for {purpose}, with {_plural(warnings, 'warning')}.", "bold green")


def _plural(number: int, word: str) -> str:
    return f"{number or 'no'} {word}{'s' * (number != 1)}"
