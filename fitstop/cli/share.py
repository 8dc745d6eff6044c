"""`fitstop share`: links that show one job to people without a key."""

import click
from rich.table import Table

from fitstop.cli.base import examples, open_client, output_option
from fitstop.cli.completion import complete_shares, job_argument
from fitstop.cli.job_ids import find_job_id
from fitstop.client import Client, Json
from fitstop.terminal.output import age, hint, literal, print_json, show_rows, table


@click.command(
    epilog=examples(
        "fitstop share wine-1 --days 30",
        "fitstop share wine-1 --list",
        "fitstop share wine-1 --revoke share_8f2k1m3n4p5q",
    )
)
@job_argument
@click.option("--days", type=click.IntRange(1, 3650), help="Days until the link expires. Default: with your key.")
@click.option("--list", "is_list", is_flag=True, help="List the links of the job.")
@click.option("--revoke", "revoked", metavar="ID", shell_complete=complete_shares, help="Revoke the link with this id.")
@output_option
@click.pass_context
def share(  # noqa: PLR0913, PLR0917  one for each option
    ctx: click.Context,
    job: str,
    days: int | None,
    is_list: bool,  # noqa: FBT001
    revoked: str | None,
    output: str,
) -> None:
    """Create a link that shows one job without a key; list or revoke its links.

    Everyone who has the link sees the job's curves, settings, events and evaluation, and nothing else. It is printed
    once. It is valid until it expires or is revoked, or its key or its job is removed.
    """
    if is_list + (days is not None) + (revoked is not None) > 1:
        raise click.UsageError("give one of --days, --list and --revoke")
    client = open_client(ctx)
    job_id = find_job_id(client, job)
    if revoked is not None:
        client.revoke_share(job_id, revoked)
        hint(f"{revoked} is revoked")
    elif is_list:
        _list(client, job_id, output)
    else:
        _create(client, job_id, days, output)


def _create(client: Client, job_id: str, days: int | None, output: str) -> None:
    document = client.create_share(job_id, days)
    document["url"] = f"{client.connection.url}{document['url']}"
    if output == "json":
        print_json(document)
        return
    click.echo(document["url"])
    until = f"until {document['expires_at'][:10]}" if document["expires_at"] else "as long as your key is valid"
    hint(f"{document['id']} shows {job_id} {until}. The link is not shown again.")


def _list(client: Client, job_id: str, output: str) -> None:
    document = client.shares(job_id)
    if output == "json":
        print_json(document)
    elif document["data"]:
        show_rows(_table(document["data"]))
    else:
        hint(f"No links. `fitstop share {job_id}` creates one.")


def _table(shares: list[Json]) -> Table:
    grid = table("ID", "KEY", "AGE", "EXPIRES", right=("AGE",))
    for one in shares:
        expires = one["expires_at"][:10] if one["expires_at"] else "with its key"
        grid.add_row(literal(one["id"]), literal(one["key_id"]), age(one["created_at"]), literal(expires))
    return grid
