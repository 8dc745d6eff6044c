"""The services of the commands: login, context list, use and remove."""

import os
import sys
from urllib.parse import urlsplit

import click

from fitstop.cli.base import FitstopGroup, examples, fail, output_option
from fitstop.cli.completion import context_argument
from fitstop.client import Client
from fitstop.connection import Connection, check_key, check_url
from fitstop.contexts import Context, Contexts, read_contexts, write_contexts
from fitstop.terminal.output import hint, literal, print_json, show_rows, table

_VARIABLES = ("FITSTOP_URL", "FITSTOP_API_KEY")


@click.command(epilog=examples("fitstop login https://train.example.org", "fitstop login URL --name lab < key.txt"))
@click.argument("url", metavar="URL")
@click.option("--name", help="Name of the context. Default: the host of the URL.")
@click.pass_context
def login(ctx: click.Context, url: str, name: str | None) -> None:
    """Save the API key of a service, and use that service from now on.

    The key is read from a hidden prompt or from stdin. It is saved only if the service accepts it, in a file that only
    you can read. FITSTOP_URL and FITSTOP_API_KEY, and a `fitstop up` that runs in this folder, have precedence.
    """
    try:
        address = check_url(url)
        known = read_contexts()
        key = check_key(_ask_for_key(address))
        if not key:
            raise ValueError("no API key: type it at the prompt, or give it on stdin")
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    connection = Connection(address, key, "URL")
    if urlsplit(address).scheme == "http" and not connection.is_local:
        hint("warning: http sends the key without encryption; use https on networks that others can read")
    with Client(connection) as client:
        next(client.all_jobs(limit=1), None)  # another kind of service has no list of jobs
    chosen = name or urlsplit(address).netloc.rpartition("@")[2]
    path = _write(ctx, known.with_context(chosen, Context(address, key)))
    hint(f"Logged in to {address}. The key is in {path}, as the context {chosen}.")
    if others := [name for name in _VARIABLES if os.environ.get(name)]:
        hint(f"warning: {' and '.join(others)} {'is' if len(others) == 1 else 'are'} set and has precedence")


def _can_ask() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _ask_for_key(address: str) -> str:
    if _can_ask():
        return str(click.prompt(f"API key for {address}", hide_input=True, err=True))
    return sys.stdin.readline().strip() if sys.stdin is not None else ""


def _write(ctx: click.Context, contexts: Contexts) -> str:
    try:
        return str(write_contexts(contexts))
    except ValueError as error:
        fail(ctx, str(error))


@click.group(cls=FitstopGroup)
def context() -> None:
    """Choose between the services that you have logged in to.

    A command uses the first of: --url, --context, FITSTOP_URL, a `fitstop up` that runs in this folder, the current
    context, http://127.0.0.1:8000.
    """


@context.command(name="list")
@output_option
def list_contexts(output: str) -> None:
    """List the contexts, without their keys. * is the current one."""
    known = _known()
    if output == "json":
        data = [
            {"name": name, "url": one.url, "is_current": name == known.current} for name, one in known.named.items()
        ]
        print_json({"object": "list", "data": data})
        return
    grid = table("", "NAME", "URL")
    for name, one in known.named.items():
        grid.add_row("*" if name == known.current else "", literal(name), literal(one.url))
    if known.named:
        show_rows(grid)
    else:
        hint("No contexts. `fitstop login URL` creates one.")


@context.command()
@context_argument
@click.pass_context
def use(ctx: click.Context, name: str) -> None:
    """Make a context the current one."""
    known = _find(name)
    _write(ctx, Contexts(known.named, name))
    hint(f"Commands use {name} now: {known.named[name].url}")


@context.command()
@context_argument
@click.pass_context
def remove(ctx: click.Context, name: str) -> None:
    """Remove a context and its key from this machine. The key stays valid until it is revoked."""
    known = _find(name)
    _write(ctx, known.without(name))
    hint(f"{name}: removed" + ("; no context is the current one" if known.current == name else ""))


def _known() -> Contexts:
    try:
        return read_contexts()
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _find(name: str) -> Contexts:
    known = _known()
    if name not in known.named:
        raise click.UsageError(f'there is no context "{name}"; contexts: {", ".join(known.named) or "none"}')
    return known
