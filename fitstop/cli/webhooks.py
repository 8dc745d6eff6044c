"""Notifications: webhooks add, list, show, test, rm."""

import time

import click
from rich.text import Text

from fitstop.cli.base import FitstopGroup, examples, fail, open_client, output_option
from fitstop.cli.completion import webhook_argument
from fitstop.cli.exit_codes import ExitCode
from fitstop.client import Client, Json
from fitstop.terminal.output import age, hint, literal, print_json, show_rows, table

_EVENTS = [
    "job.succeeded",
    "job.failed",
    "job.cancelled",
    "job.early_stopping",
    "job.worker_lost",
    "job.budget_nearly_used",
    "sweep.best",
    "sweep.finished",
]  # fmt: skip
_DEFAULT = ("job.succeeded", "job.failed")
_STYLES = {"delivered": "green", "given_up": "red"}
# The sender checks once a second, and one try takes a maximum of 20 s.
_TEST_SECONDS = 30
_START_SENDER = "Start it on a host of the API: python -m fitstop.service api.webhooks"


@click.group(cls=FitstopGroup)
def webhooks() -> None:
    """Notify an address of the events of jobs.

    An https address gets signed Standard Webhooks; other addresses are notified by Apprise (mail, Slack, Telegram and
    others). Addresses and secrets are never shown again.
    """


@webhooks.command(
    epilog=examples(
        "fitstop webhooks add https://example.com/fitstop --event job.failed",
        "fitstop webhooks add slack://TOKEN_A/TOKEN_B/TOKEN_C --metadata team=vision",
    )
)
@click.argument("address")
@click.option(
    "--event", "events", type=click.Choice(_EVENTS), multiple=True, default=_DEFAULT, show_default=True,
    metavar="EVENT", help=f"Event to send: {', '.join(_EVENTS)}. May be repeated.",
)  # fmt: skip
@click.option("--name", help="What the webhook is for.")
@click.option("--job-name", help="Only jobs and sweeps with this name.")
@click.option("--metadata", multiple=True, metavar="NAME=VALUE", help="Only jobs with this metadata. May be repeated.")
@output_option
@click.pass_context
def add(  # noqa: PLR0913, PLR0917  one for each option
    ctx: click.Context,
    address: str,
    events: tuple[str, ...],
    name: str | None,
    job_name: str | None,
    metadata: tuple[str, ...],
    output: str,
) -> None:
    """Add an address. The secret that checks its signatures is shown only once."""
    filters = {"name": name, "job_name": job_name, "metadata": dict(map(_pair, metadata))}
    document = open_client(ctx).create_webhook(address, events, **{key: one for key, one in filters.items() if one})
    if output == "json":
        print_json(document)
        return
    if document["secret"]:
        click.echo(document["secret"])
    about = " The secret is not shown again." if document["secret"] else ""
    hint(f"{document['id']} sends {', '.join(document['events'])} to {document['address']}.{about}")


@webhooks.command(name="list")
@output_option
@click.pass_context
def list_webhooks(ctx: click.Context, output: str) -> None:
    """List webhooks."""
    document = open_client(ctx).webhooks()
    if output == "json":
        print_json(document)
        return
    grid = table("ID", "NAME", "ADDRESS", "EVENTS", "AGE", right=("AGE",))
    for one in document["data"]:
        grid.add_row(
            literal(one["id"]),
            literal(one["name"] or "-"),
            literal(one["address"]),
            literal(" ".join(event.removeprefix("job.") for event in one["events"])),
            age(one["created_at"]),
        )
    show_rows(grid)
    if document["data"] and not document.get("has_sender", True):
        hint(f"Nothing is sent: no sender runs. {_START_SENDER}")


@webhooks.command()
@webhook_argument
@output_option
@click.pass_context
def show(ctx: click.Context, webhook_id: str, output: str) -> None:
    """Show a webhook's last deliveries, newest first."""
    document = open_client(ctx).webhook(webhook_id)
    if output == "json":
        print_json(document)
        return
    hint(f"{document['id']}: {', '.join(document['events'])} to {document['address']}")
    grid = table("EVENT", "JOB", "STATUS", "TRIES", "LAST TRY", "OUTCOME", right=("TRIES", "LAST TRY"))
    for one in document["deliveries"]:
        grid.add_row(
            literal(one["type"]),
            literal(one["job"] or one.get("sweep") or "-"),
            Text(one["status"], style=_STYLES.get(one["status"], "")),
            str(one["tries"]),
            age(one["last_try_at"]),
            literal(_outcome(one)),
        )
    show_rows(grid)


@webhooks.command()
@webhook_argument
@click.pass_context
def test(ctx: click.Context, webhook_id: str) -> None:
    """Send a test and wait for its outcome."""
    client = open_client(ctx)
    sent = client.test_webhook(webhook_id)
    delivery = _wait_for_outcome(client, webhook_id, sent["id"])
    if delivery is None:
        fail(ctx, f"the test was not sent yet: see whether the sender runs. {_START_SENDER}", ExitCode.UNREACHABLE)
    if delivery["status"] != "delivered":
        fail(ctx, f"the test was not delivered: {_outcome(delivery)}", ExitCode.JOB_FAILED)
    hint(f"The test was delivered: {_outcome(delivery)}")


@webhooks.command()
@webhook_argument
@click.pass_context
def rm(ctx: click.Context, webhook_id: str) -> None:
    """Delete a webhook, with its undelivered messages."""
    open_client(ctx).delete_webhook(webhook_id)
    hint(f"{webhook_id} is deleted")


def _wait_for_outcome(client: Client, webhook_id: str, delivery_id: str) -> Json | None:
    """Wait for the first try of a delivery and return the delivery; None if there was no try in time."""
    deadline = time.monotonic() + _TEST_SECONDS
    while time.monotonic() < deadline:
        for one in client.webhook(webhook_id)["deliveries"]:
            if one["id"] == delivery_id and one["tries"]:
                found: Json = one
                return found
        time.sleep(0.5)
    return None


def _outcome(delivery: Json) -> str:
    if not delivery["tries"]:
        return "-"
    if delivery["error"]:
        return str(delivery["error"])
    return "sent" if delivery["answer"] is None else f"answered {delivery['answer']}"


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.UsageError(f'--metadata: received "{text}", expected NAME=VALUE')
    return name, value
