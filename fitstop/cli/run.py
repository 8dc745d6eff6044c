"""run: a script on the queue."""

from pathlib import Path
from typing import Any

import click

from fitstop.cli.base import examples, open_client, output_option
from fitstop.cli.programs import send_shown
from fitstop.cli.submitted import print_submitted
from fitstop.client import Json
from fitstop.packing import Pack, pack
from fitstop.script import job_spec, program_id_of
from fitstop.set_options import assign
from fitstop.terminal.output import hint, plain
from fitstop.terminal.programs import describe_pack

_EXAMPLES = (
    "fitstop run train.py",
    "fitstop run train.py --dataset wine-quality -- --epochs 50",
    "fitstop run . --entry src/train.py --dry-run",
)


class _ScriptCommand(click.Command):
    """Options that the command does not have are likely the script's."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            place = "arguments of the script come after --, as in: fitstop run train.py -- --epochs 50"
            raise click.UsageError(f"{error.format_message()} The {place}", ctx) from error


@click.command(cls=_ScriptCommand, epilog=examples(*_EXAMPLES))
@click.argument("script", type=click.Path(exists=True, path_type=Path))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[-- ARGUMENT...]")
@click.option("--entry", metavar="FILE", help="Script to run, where SCRIPT is a folder. Default: main.py or train.py.")
@click.option(
    "--with",
    "requirements",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Packages to install: a requirements file. Default: requirements.txt of the folder, if any.",
)
@click.option(
    "--dataset", "datasets", metavar="ID", multiple=True, help="Dataset that the script reads. May be repeated."
)
@click.option("--network", is_flag=True, help="Allow the script to use the network.")
@click.option(
    "--env", "environment", metavar="NAME=VALUE", multiple=True, help="Environment variable. May be repeated."
)
@click.option(
    "--early-stopping",
    metavar="A=B,...",
    help="Early stopping for a script that has none, such as monitor=val_loss,patience=10.",
)
@click.option("--max-gpu-seconds", type=click.FloatRange(0, min_open=True), help="Max compute time, in seconds.")
@click.option("--max-cost", type=click.FloatRange(0, min_open=True), help="Max cost of that time.")
@click.option("--deadline", metavar="TIME", help="Latest end of the job, such as 2027-01-31T06:00:00Z.")
@click.option("--name", help="Display name of the job.")
@click.option("--program", "program_id", metavar="ID", help="Id of the program. Default: the name of the folder.")
@click.option("--alone", is_flag=True, help="Send only the script, without its folder.")
@click.option("--dry-run", is_flag=True, help="Show what would be sent, and send nothing.")
@click.option("--detach", is_flag=True, help="Do not watch the job. -o json does not watch it either.")
@output_option
@click.pass_context
def run(
    ctx: click.Context, /, script: Path, arguments: tuple[str, ...], output: str, *, detach: bool, **choices: Any
) -> None:
    """Run a Keras script as a job, unchanged, and watch it.

    SCRIPT is a Python file, which is sent with its folder, or a folder. Files listed in .gitignore or .fitstopignore,
    hidden files, virtual environments and secrets are not sent. Ctrl-C leaves the job running. The exit status says
    whether the job succeeded.
    """
    packed = pack(script, choices["requirements"], alone=choices["alone"])
    chosen_id = choices["program_id"] or program_id_of(packed)
    options = _options(packed, choices)
    if choices["dry_run"]:
        _show_files(packed, chosen_id)
        return
    client = open_client(ctx)
    spec = job_spec(send_shown(client, packed, chosen_id), arguments=arguments, **options)
    print_submitted(ctx, client, client.submit(spec), output, watching=not detach and output != "json")


def _show_files(packed: Pack, program_id: str) -> None:
    for line in describe_pack(packed, program_id):
        hint(line.plain)
    for file in packed.files:
        click.echo(plain(file.name))


def _options(packed: Pack, choices: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `job_spec` that options give. Raises UsageError."""
    if choices["entry"] and packed.entry:
        raise click.UsageError("--entry is for a folder, but SCRIPT is a file")
    budget = {name: choices[name] for name in ("max_gpu_seconds", "max_cost", "deadline") if choices[name] is not None}
    stopping = choices["early_stopping"]
    return {
        "entry": choices["entry"] or packed.entry,
        "datasets": choices["datasets"],
        "environment": _environment(choices["environment"]),
        "network": choices["network"],
        "early_stopping": _assign(stopping.split(",")) if stopping else None,
        "budget": budget or None,
        "name": choices["name"],
    }


def _environment(assignments: tuple[str, ...]) -> dict[str, str]:
    pairs = [one.partition("=") for one in assignments]
    wrong = [f'"{name}"' for name, equals, _ in pairs if not (name and equals)]
    if wrong:
        raise click.UsageError(f"--env {', '.join(wrong)}: expected NAME=VALUE")
    return {name: value for name, _, value in pairs}


def _assign(assignments: list[str]) -> Json:
    try:
        return assign({}, assignments)
    except ValueError as error:
        raise click.UsageError(f"--early-stopping: {error}") from error
