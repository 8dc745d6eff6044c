"""Uploaded weights of models: models put, models list, models show, models rm."""

import re
from pathlib import Path

import click

from fitstop.cli.base import FitstopGroup, examples, open_client, output_option
from fitstop.cli.completion import weights_argument
from fitstop.cli.exit_codes import ExitCode
from fitstop.cli.removal import confirm, find_jobs, loads_weights, yes_option
from fitstop.terminal.datasets import show_sent
from fitstop.terminal.output import age, fields, hint, literal, print_json, show_rows, size, table

# Other file names are not sent.
_NAME = re.compile(r"[A-Za-z0-9._ -]{1,256}")


@click.group(cls=FitstopGroup)
def models() -> None:
    """Upload, list and remove weights of models, which a job starts from (model.weights)."""


@models.command(
    epilog=examples("fitstop models put resnet resnet50_notop.h5", "fitstop models put mine mine.weights.h5")
)
@click.argument("weights_id", metavar="ID")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@output_option
@click.pass_context
def put(ctx: click.Context, weights_id: str, file: Path, output: str) -> None:
    """Upload the weights in FILE under an ID. Uploading the same bytes again changes nothing.

    FILE is a .weights.h5 or .keras file of Keras 3, or a .h5 file of Keras 1 or 2, such as a published *_notop.h5 file.
    """
    name = file.name if _NAME.fullmatch(file.name) else None
    with show_sent() as on_sent:
        document = open_client(ctx).put_model(weights_id, file, name, on_sent=on_sent)
    if output == "json":
        print_json(document)
        return
    click.echo(document["id"])
    hint(f"{size(document.get('bytes'))}; to use it: --set model.weights={document['id']}")


@models.command(name="list")
@output_option
@click.pass_context
def list_models(ctx: click.Context, output: str) -> None:
    """List the uploaded weights."""
    found = list(open_client(ctx).all_models())
    if output == "json":
        print_json({"object": "list", "data": found})
        return
    grid = table("ID", "FORMAT", "SIZE", "AGE", "FILE", right=("SIZE", "AGE"))
    for one in found:
        name = literal(one.get("source_name") or "-")
        grid.add_row(one["id"], one["source_format"], size(one["bytes"]), age(one["created_at"]), name)
    if found:
        show_rows(grid)
    else:
        hint("No weights. `fitstop models put ID FILE` uploads some.")


@models.command()
@weights_argument
@output_option
@click.pass_context
def show(ctx: click.Context, weights_id: str, output: str) -> None:
    """Show uploaded weights."""
    document = open_client(ctx).model(weights_id)
    if output == "json":
        print_json(document)
        return
    rows: list[tuple[str, object]] = [
        ("id", document["id"]),
        ("project", literal(document.get("project", "default"))),
        ("file", literal(document.get("source_name") or "-")),
        ("format", document["source_format"]),
        ("size", size(document["bytes"])),
        ("created", document["created_at"]),
        ("sha256", document["sha256"]),
    ]
    show_rows(fields(rows))


@models.command()
@weights_argument
@yes_option
@click.pass_context
def rm(ctx: click.Context, weights_id: str, yes: bool) -> None:  # noqa: FBT001  an option
    """Delete weights that no unfinished job uses. Finished jobs keep their models.

    Asks first if any of the newest 1,000 jobs started from them: such a job can no longer be retried.
    """
    client = open_client(ctx)
    users = find_jobs(client, loads_weights(weights_id))
    if not confirm(weights_id, users, "can no longer be retried afterwards", yes=yes):
        ctx.exit(ExitCode.OK)
    client.delete_model(weights_id)
    hint(f"{weights_id}: deleted")
