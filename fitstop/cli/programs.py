"""programs: put, list, show, rm."""

from pathlib import Path

import click

from fitstop.cli.base import FitstopGroup, examples, open_client, output_option
from fitstop.cli.completion import program_argument
from fitstop.cli.exit_codes import ExitCode
from fitstop.cli.removal import confirm, find_jobs, runs_program, yes_option
from fitstop.client import Client, Json
from fitstop.packing import Pack, pack
from fitstop.script import find_version, send_program
from fitstop.terminal.datasets import show_sent
from fitstop.terminal.output import age, fields, hint, literal, print_json, show_rows, size, table
from fitstop.terminal.programs import count_files, describe_pack, list_warnings


@click.group(cls=FitstopGroup)
def programs() -> None:
    """Upload, list, show and remove programs: the scripts that `fitstop run` runs."""


@programs.command(epilog=examples("fitstop programs put cats ./cats", "fitstop programs put cats train.py --alone"))
@program_argument
@click.argument("script", type=click.Path(exists=True, path_type=Path))
@click.option("--alone", is_flag=True, help="Send only the script, without its folder.")
@output_option
@click.pass_context
def put(ctx: click.Context, program_id: str, script: Path, alone: bool, output: str) -> None:  # noqa: FBT001
    """Upload SCRIPT with its folder, or a folder, as a version of program ID.

    Sends the same files as `fitstop run`. The same files are the same version.
    """
    version = send_shown(open_client(ctx), pack(script, alone=alone), program_id)
    if output == "json":
        print_json(version)
        return
    click.echo(version["version"])


def send_shown(client: Client, packed: Pack, program_id: str) -> Json:
    """Upload the files if the service does not have them, show what is sent, and return their version."""
    version = find_version(client, packed, program_id)
    if version is not None:
        hint(f"program {program_id}: unchanged since version {packed.version[:12]}")
    else:
        for line in describe_pack(packed, program_id):
            hint(line.plain)
        with show_sent() as on_sent:
            version = send_program(client, packed, program_id, on_sent)
    for warning in list_warnings(version):
        hint(f"warning: {warning}")
    return version


@programs.command(name="list")
@output_option
@click.pass_context
def list_programs(ctx: click.Context, output: str) -> None:
    """List the programs, each with its latest version."""
    found = list(open_client(ctx).all_programs())
    if output == "json":
        print_json({"object": "list", "data": found})
        return
    grid = table("ID", "VERSION", "FILES", "SIZE", "AGE", right=("FILES", "SIZE", "AGE"))
    for one in found:
        count = literal(one["file_count"])
        grid.add_row(one["id"], one["version"][:12], count, size(one["bytes"]), age(one["created_at"]))
    if found:
        show_rows(grid)
    else:
        hint("No programs. `fitstop run train.py` uploads and runs one.")


@programs.command()
@program_argument
@click.option("--version", "version", metavar="HASH", help="Version to show. Default: the latest.")
@output_option
@click.pass_context
def show(ctx: click.Context, program_id: str, version: str | None, output: str) -> None:
    """Show the files of a program and its versions."""
    document = open_client(ctx).program(program_id, version)
    if output == "json":
        print_json(document)
        return
    show_rows(fields(_facts(document)))
    grid = table("SIZE", "FILE", right=("SIZE",))
    for file in document["files"]:
        grid.add_row(size(file["bytes"]), literal(file["path"]))
    click.echo()
    show_rows(grid)


def _facts(document: Json) -> list[tuple[str, object]]:
    versions = document["versions"]
    more = document["version_count"] - len(versions)
    listed = ", ".join(one[:12] for one in versions) + (f" and {more} more" if more else "")
    broken = [(path, f"does not compile: {why}") for path, why in document["broken"].items()]
    return [
        ("id", document["id"]),
        ("project", document["project"]),
        ("version", document["version"]),
        ("uploaded", document["created_at"]),
        ("content", f"{count_files(document['file_count'])}, {size(document['bytes'])}"),
        ("entry", document["default_entry"] or "no default; name one with --entry"),
        ("requirements.txt", "yes" if document["has_requirements"] else "no"),
        ("versions", listed),
        *broken,
    ]


@programs.command(name="rm")
@program_argument
@yes_option
@click.pass_context
def remove_program(ctx: click.Context, program_id: str, yes: bool) -> None:  # noqa: FBT001  an option
    """Delete all versions of a program that no unfinished job uses. Finished jobs keep their files and models.

    Asks first if any of the newest 1,000 jobs ran it: such a job can no longer be retried or extended.
    """
    client = open_client(ctx)
    users = find_jobs(client, runs_program(program_id))
    if not confirm(program_id, users, "can no longer be retried or extended afterwards", yes=yes):
        ctx.exit(ExitCode.OK)
    client.delete_program(program_id)
    hint(f"{program_id}: deleted")
