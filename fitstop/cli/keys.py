"""API keys: keys create, keys list, keys revoke."""

import click
from rich.text import Text

from fitstop.cli.base import FitstopGroup, open_client, output_option
from fitstop.cli.completion import key_argument
from fitstop.terminal.output import age, hint, literal, print_json, show_rows, table

_SCOPES = ["read", "write", "code", "admin"]


@click.group(cls=FitstopGroup)
def keys() -> None:
    """Manage API keys. Needs a key with the scope admin.

    Scopes: read sees all of its project; write also uploads data, submits and cancels jobs; code also uploads
    programs and submits jobs that run them; admin works in all projects and manages keys.
    """


@keys.command()
@click.argument("name")
@click.option("--scope", type=click.Choice(_SCOPES), default="write", show_default=True, help="Scope of the key.")
@click.option("--project", help="Project of the key; several keys may share one. Default: default.")
@click.option("--days", type=click.IntRange(1, 3650), help="Days until the key expires. Default: never.")
@output_option
@click.pass_context
def create(  # noqa: PLR0913, PLR0917  one for each option
    ctx: click.Context, name: str, scope: str, project: str | None, days: int | None, output: str
) -> None:
    """Create a key. NAME says what it is for.

    The key is shown only once; the service keeps only its hash.
    """
    document = open_client(ctx).create_key(name, scope, days, project)
    if output == "json":
        print_json(document)
        return
    click.echo(document["key"])
    whose = f"{document['id']}, {scope}, project {document.get('project', 'default')}"
    hint(f"{whose}. It is not shown again. To use it: export FITSTOP_API_KEY=…")


@keys.command(name="list")
@output_option
@click.pass_context
def list_keys(ctx: click.Context, output: str) -> None:
    """List keys."""
    document = open_client(ctx).keys()
    if output == "json":
        print_json(document)
        return
    grid = table("ID", "NAME", "SCOPE", "PROJECT", "STATUS", "AGE", "LAST USED", "EXPIRES", right=("AGE", "LAST USED"))
    for one in document["data"]:
        grid.add_row(
            literal(one["id"]),
            literal(one["name"]),
            literal(one["scope"]),
            literal(one.get("project", "default")),
            Text(one["status"], style="" if one["status"] == "active" else "dim"),
            age(one.get("created_at")),
            age(one.get("last_used_at")),
            literal((one.get("expires_at") or "-")[:10]),
        )
    show_rows(grid)


@keys.command()
@key_argument
@click.pass_context
def revoke(ctx: click.Context, key_id: str) -> None:
    """Revoke a key. This cannot be undone. ID is the key's id, key_…, not the key itself."""
    document = open_client(ctx).revoke_key(key_id)
    hint(f"{document['id']} ({document['name']}) is {document['status']}")
