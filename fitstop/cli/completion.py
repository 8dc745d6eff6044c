"""Completion in a shell: the command `completion`, and arguments whose values come from the service.

Nothing here raises or waits long, because a shell shows no errors during completion.
"""

import contextlib
from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem, get_completion_class

from fitstop.cli.base import as_written
from fitstop.cli.job_ids import find_job_id
from fitstop.client import Client, Json
from fitstop.connection import find_connection
from fitstop.contexts import read_contexts
from fitstop.errors import ClientError
from fitstop.terminal.output import plain

_SET_UP = """Set up:
  echo 'eval "$(fitstop completion bash)"' >> ~/.bashrc
  echo 'eval "$(fitstop completion zsh)"' >> ~/.zshrc
  fitstop completion fish > ~/.config/fish/completions/fitstop.fish"""
_SECONDS = 3
_NEWEST = 100

_Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]
# The possible values, each with a description.
_Values = Iterable[tuple[str, str]]


def _from_service(values: Callable[[Client], _Values]) -> _Complete:
    """Complete with the values that `values` reads from the service; with none if it does not answer."""

    def complete(ctx: click.Context, _parameter: click.Parameter, begin: str) -> list[CompletionItem]:
        asked = ctx.find_root().params
        try:
            connection = find_connection(asked.get("url"), context=asked.get("context"))
            with Client(connection, seconds=_SECONDS) as client:
                return _items(values(client), begin)
        except (ClientError, click.UsageError, ValueError, KeyError, TypeError):
            return []

    return complete


def _items(values: _Values, begin: str) -> list[CompletionItem]:
    return [
        CompletionItem(plain(value), help=plain(words))
        for value, words in values
        if value.casefold().startswith(begin.casefold())
    ]


def _jobs(client: Client) -> _Values:
    yield from _ids_and_names(client.jobs(limit=_NEWEST)["data"])


def _ids_and_names(found: list[Json]) -> _Values:
    """Yield ids and names. Names that are not unique are left out."""
    yield from ((one["id"], f"{one['name']}, {one['status']}") for one in found)
    names = [one["name"] for one in found]
    yield from ((one["name"], f"{one['id']}, {one['status']}") for one in found if names.count(one["name"]) == 1)


def _sweeps(client: Client) -> _Values:
    yield from _ids_and_names(client.sweeps(limit=_NEWEST)["data"])


def _jobs_and_sweeps(client: Client) -> _Values:
    yield from _jobs(client)
    # A service of an earlier version has no sweeps.
    with contextlib.suppress(ClientError):
        # Complete sweeps only by id, because a name may be that of a job.
        yield from ((one["id"], f"{one['name']}, {one['status']}") for one in client.sweeps(limit=_NEWEST)["data"])


def _contexts(_ctx: click.Context, _parameter: click.Parameter, begin: str) -> list[CompletionItem]:
    with contextlib.suppress(ValueError):
        return _items(((name, one.url) for name, one in read_contexts().named.items()), begin)
    return []


def complete_shares(ctx: click.Context, parameter: click.Parameter, begin: str) -> list[CompletionItem]:
    """The ids of the links to the job that was typed before."""
    # click leaves the job in `ctx.args` while the option to complete has no value yet.
    typed = [one for one in (ctx.params.get("job"), *ctx.args) if one]
    if not typed:
        return []

    def shares(client: Client) -> _Values:
        return ((one["id"], one["created_at"]) for one in client.shares(find_job_id(client, typed[0]))["data"])

    return _from_service(shares)(ctx, parameter, begin)


complete_jobs = _from_service(_jobs)
complete_sweeps = _from_service(_sweeps)
complete_jobs_and_sweeps = _from_service(_jobs_and_sweeps)
complete_datasets = _from_service(
    lambda client: ((one["id"], one.get("kind", "")) for one in client.datasets()["data"])
)
complete_models = _from_service(lambda client: ((one["id"], one["source_format"]) for one in client.models()["data"]))
complete_programs = _from_service(lambda client: ((one["id"], "") for one in client.all_programs()))
complete_webhooks = _from_service(lambda client: ((one["id"], one["name"] or "") for one in client.webhooks()["data"]))
complete_keys = _from_service(lambda client: ((one["id"], one["name"]) for one in client.keys()["data"]))

job_argument = click.argument("job", shell_complete=complete_jobs)
jobs_argument = click.argument("jobs", nargs=-1, required=True, metavar="JOB...", shell_complete=complete_jobs)
sweep_argument = click.argument("name", metavar="SWEEP", shell_complete=complete_sweeps)
job_or_sweep_argument = click.argument("job", shell_complete=complete_jobs_and_sweeps)
jobs_or_sweeps_argument = click.argument(
    "jobs", nargs=-1, required=True, metavar="JOB...", shell_complete=complete_jobs_and_sweeps
)
dataset_argument = click.argument("dataset_id", metavar="ID", shell_complete=complete_datasets)
weights_argument = click.argument("weights_id", metavar="ID", shell_complete=complete_models)
program_argument = click.argument("program_id", metavar="ID", shell_complete=complete_programs)
webhook_argument = click.argument("webhook_id", metavar="ID", shell_complete=complete_webhooks)
key_argument = click.argument("key_id", metavar="ID", shell_complete=complete_keys)
context_argument = click.argument("name", shell_complete=_contexts)


@click.command(epilog=as_written(_SET_UP))
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that makes a shell complete commands, options and ids."""
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(ctx.find_root().command, {}, "fitstop", "_FITSTOP_COMPLETE").source())
