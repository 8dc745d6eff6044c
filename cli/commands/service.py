"""The service itself: its page, workers, queue, config."""

import os
import webbrowser

import click

from cli.commands.base import fail, open_client, output_option
from cli.connection import DEFAULT_DATA, DEFAULT_URL
from cli.output import age, hint, literal, print_json, show_rows, status_text, table
from cli.wine import UCI_URL

_CLIENT_VARIABLES = {
    "FITSTOP_URL": (DEFAULT_URL, "the service that the commands talk to"),
    "FITSTOP_API_KEY": ("", "the key for it"),
    "FITSTOP_DATA": (str(DEFAULT_DATA), "the folder of `fitstop up`; the volume is in it where nothing else is said"),
    "FITSTOP_WINE_URL": (UCI_URL, "where `fitstop demo` gets the wine data"),
}
_SECRETS = frozenset({"FITSTOP_API_KEY"})


@click.command("open")
@click.option("--print", "only_print", is_flag=True, help="Print the address instead, for a browser elsewhere.")
@click.pass_context
def open_page(ctx: click.Context, only_print: bool) -> None:  # noqa: FBT001
    """Open the service's page in a browser, signed in.

    The address works once and for ten minutes. Where no browser can be started here it is printed.
    """
    address = open_client(ctx).sign_in_address()
    if only_print or not webbrowser.open(address):
        click.echo(address)
        hint("It works once, within ten minutes.")


@click.command()
@output_option
@click.pass_context
def workers(ctx: click.Context, output: str) -> None:
    """List the workers and what they do."""
    document = open_client(ctx).workers()
    if output == "json":
        print_json(document)
        return
    grid = table("HOST", "STATUS", "SLOTS", "RUNNING", "SEEN", "DEVICE", right=("SLOTS", "SEEN"))
    for one in document["data"]:
        running = ", ".join(attempt["job"] for attempt in one.get("running") or [])
        grid.add_row(
            literal(one["host"]),
            status_text(one["status"]),
            str(one["slots"]),
            literal(running or "-"),
            age(one.get("seen_at")),
            literal(one["device"]),
        )
    if document["data"]:
        show_rows(grid)
        for one in document["data"]:
            if reason := one.get("unfit") or one.get("paused"):
                hint(f"{one['host']} takes no jobs: {reason}")
            if one.get("idle_gpu"):
                hint(f"{one['host']} trains on the CPU, its {one['idle_gpu']} stays idle: TensorFlow is a CPU build")
    else:
        hint("No workers. `fitstop up` starts one with the service.")


@click.command()
@output_option
@click.pass_context
def queue(ctx: click.Context, output: str) -> None:
    """List the jobs that wait, in the order in which they are served, and why each waits."""
    document = open_client(ctx).queue()
    if output == "json":
        print_json(document)
        return
    grid = table("#", "ID", "NAME", "PRIORITY", "AGE", "WAITS BECAUSE", right=("#", "PRIORITY", "AGE"))
    for one in document["data"]:
        grid.add_row(
            str(one["position"]),
            one["id"],
            literal(one["name"]),
            str(one["priority"]),
            age(one["created_at"]),
            literal(one["waits"]["detail"]),
        )
    if document["data"]:
        show_rows(grid)
    else:
        hint("No job waits.")


@click.command()
@output_option
@click.pass_context
def config(ctx: click.Context, output: str) -> None:
    """List every setting.

    Its environment variable (bold where it is set), its value here, and what it means. Secrets are masked.
    """
    try:
        from shared.settings import BadEnvironment, Settings, read_settings, shown, variable
    except ImportError as error:
        fail(ctx, f"the settings are the service's, and it is not installed here ({error})")
    try:
        values = shown(read_settings())
    except BadEnvironment as error:
        fail(ctx, str(error))
    told = {variable(name): field.description or "" for name, field in Settings.model_fields.items()}
    for name, (default, description) in _CLIENT_VARIABLES.items():
        value = os.environ.get(name, default)
        values[name] = "**********" if value and name in _SECRETS else value
        told[name] = description
    if output == "json":
        print_json({name: {"value": value, "description": told[name]} for name, value in values.items()})
        return
    grid = table("VARIABLE", "VALUE", "MEANING")
    for column in grid.columns[1:]:
        column.no_wrap, column.overflow = False, "fold"
    for name, value in values.items():
        grid.add_row(literal(name, "bold" if name in os.environ else ""), literal(value), literal(told[name]))
    show_rows(grid)
