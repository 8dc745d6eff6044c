"""Prints a job or a sweep that was submitted, and watches it until it has finished."""

import click

from fitstop.cli.exit_codes import ExitCode
from fitstop.cli.sweep_ids import is_sweep
from fitstop.client import Client, Json
from fitstop.terminal.output import hint, print_json
from fitstop.terminal.sweep_watch import print_sweep_ending, watch_sweep
from fitstop.terminal.watch import print_ending, watch


def print_submitted(ctx: click.Context, client: Client, document: Json, output: str, *, watching: bool) -> None:
    """Print the warnings and the id, or the document. With `watching`, watch it and exit with the status of its end."""
    found, status = str(print_warnings(document)["id"]), ExitCode.OK
    if output == "table":
        click.echo(found)
    if watching:
        # With -o json only the final document is printed to stdout, and what happens before it to stderr.
        status = watch_to_the_end(client, found, err=output == "json")
        if output == "json":
            document = client.sweep(found) if is_sweep(found) else client.job(found)
    if output == "json":
        print_json(document)
    if watching:
        ctx.exit(status)
    hint(f"fitstop watch {found}")


def print_warnings(document: Json) -> Json:
    """Print the warnings of an answer, and return it."""
    for warning in document.get("warnings") or []:
        hint(f"warning: {warning}")
    return document


def watch_to_the_end(client: Client, found: str, *, err: bool = False) -> ExitCode:
    """Watch a job or a sweep until it has ended or Ctrl-C detaches. Return the exit status: 0 after a detach."""
    try:
        document = _watch(client, found, err=err)
    except KeyboardInterrupt:
        hint("")
        noun = "sweep" if is_sweep(found) else "job"
        hint(f"Detached. The {noun} continues to run. To watch it again, or to cancel it:")
        hint(f"  fitstop watch {found}")
        hint(f"  fitstop cancel {found}")
        return ExitCode.OK
    return ExitCode.OK if document["status"] == "succeeded" else ExitCode.JOB_FAILED


def _watch(client: Client, found: str, *, err: bool) -> Json:
    if is_sweep(found):
        document = watch_sweep(client, found, err=err)
        print_sweep_ending(document, err=err)
    else:
        document = watch(client, found, err=err)
        print_ending(document, err=err)
    return document
