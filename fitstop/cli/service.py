"""The service itself: its page, workers, queue, config."""

import json
import os
import webbrowser
from typing import Any

import click

from fitstop.cli.base import fail, open_client, output_option
from fitstop.client import Json
from fitstop.connection import DEFAULT_DATA, DEFAULT_URL
from fitstop.local.wine import UCI_URL
from fitstop.service import run_service
from fitstop.terminal.output import JobId, age, hint, literal, one_line, print_json, show_rows, status_text, table

_CLIENT_VARIABLES = {
    "FITSTOP_URL": (DEFAULT_URL, "service for the commands"),
    "FITSTOP_API_KEY": ("", "API key for that service"),
    "FITSTOP_DATA": (str(DEFAULT_DATA), "folder of `fitstop up`; holds the volume unless FITSTOP_VOLUME is set"),
    "FITSTOP_MLFLOW_URI": ("", "MLflow server for `fitstop up` and `fitstop export mlflow`"),
    "FITSTOP_WINE_URL": (UCI_URL, "address from which `fitstop demo` downloads the wine data"),
}
# A worker that runs no programs because of the default settings; this is not a problem.
_NO_CODE = "FITSTOP_ALLOW_CODE=no"
_SECRETS = frozenset({"FITSTOP_API_KEY"})
_MASK = "**********"
# The same as in `shared.settings`: EX_CONFIG of sysexits.h.
_BAD_ENVIRONMENT_STATUS = 78


@click.command("open")
@click.option("--print", "only_print", is_flag=True, help="Print the address, for a browser on another machine.")
@click.pass_context
def open_page(ctx: click.Context, only_print: bool) -> None:  # noqa: FBT001
    """Open the service's page in a browser, logged in.

    The address works once, within ten minutes. It is printed if no browser can be started.
    """
    address = open_client(ctx).sign_in_address()
    if only_print or not webbrowser.open(address):
        click.echo(address)
        hint("It works once, within ten minutes.")


@click.command()
@output_option
@click.pass_context
def workers(ctx: click.Context, output: str) -> None:
    """List workers and the jobs that they run."""
    document = open_client(ctx).workers()
    if output == "json":
        print_json(document)
        return
    grid = table("HOST", "STATUS", "SLOTS", "RUNNING", "LAST SEEN", "DEVICE", right=("SLOTS", "LAST SEEN"))
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
            _explain_worker(one)
    else:
        hint("No workers. `fitstop up` starts the service with one.")


def _explain_worker(one: dict[str, Any]) -> None:
    """Print why a worker does not take jobs or programs, and facts about its devices."""
    if reason := one.get("unfit") or one.get("paused"):
        hint(f"{one['host']} takes no jobs: {reason}")
    elif (why := one.get("no_programs")) and why != _NO_CODE:
        hint(f"{one['host']} runs no programs: {why}")
    if one.get("slot_devices", 1) > 1:
        hint(f"{one['host']} holds {one['slot_devices']} devices in each slot, for jobs with `devices`")
    if one.get("kept_for"):
        hint(f"{one['host']} keeps its free slots for {one['kept_for']}, which needs several of them")
    if one.get("idle_gpu"):
        hint(f"{one['host']} trains on the CPU and its {one['idle_gpu']} is idle: TensorFlow is the CPU build")


@click.command()
@output_option
@click.pass_context
def queue(ctx: click.Context, output: str) -> None:
    """List waiting jobs in the order of the queue, and why each waits."""
    document = open_client(ctx).queue()
    if output == "json":
        print_json(document)
        return
    right, narrow = ("#", "PRIORITY", "AGE"), ("ID", "NAME", "REASON")
    grid = table("#", "ID", "NAME", "PRIORITY", "AGE", "REASON", right=right, narrow=narrow)
    for one in document["data"]:
        grid.add_row(
            str(one["position"]),
            JobId(one["id"]),
            one_line(one["name"]),
            str(one["priority"]),
            age(one["created_at"]),
            one_line(one["waits"]["detail"]),
        )
    if document["data"]:
        show_rows(grid)
    else:
        hint("No jobs are waiting.")


@click.command()
@output_option
@click.pass_context
def config(ctx: click.Context, output: str) -> None:
    """List all settings.

    Shows each environment variable (bold if it is set), its value and its meaning. Secrets are masked.
    """
    settings = _service_settings(ctx)
    for name, (default, description) in _CLIENT_VARIABLES.items():
        value = os.environ.get(name, default)
        settings[name] = {"value": _MASK if value and name in _SECRETS else value, "description": description}
    if output == "json":
        print_json(settings)
        return
    grid = table("VARIABLE", "VALUE", "MEANING")
    for column in grid.columns[1:]:
        column.no_wrap, column.overflow = False, "fold"
    for name, one in settings.items():
        style = "bold" if name in os.environ else ""
        grid.add_row(literal(name, style), literal(one["value"]), literal(one["description"]))
    show_rows(grid)


def _service_settings(ctx: click.Context) -> Json:
    """The settings of the API and the worker, from the service's own code."""
    done = run_service("shared.settings")
    if done.returncode == _BAD_ENVIRONMENT_STATUS:
        fail(ctx, done.stderr.strip())
    if done.returncode:
        reason = done.stderr.strip().rpartition("\n")[2]
        fail(ctx, f"the service is not installed here ({reason}); install it with: pip install 'fitstop[local]'")
    settings: Json = json.loads(done.stdout)
    return settings
