"""Jobs: submit, show, watch, events, log, cancel, retry, rm."""

import json
import sys
from collections.abc import Callable
from typing import Any

import click

from fitstop.cli.base import examples, open_client, output_option
from fitstop.cli.completion import (
    complete_jobs,
    job_argument,
    job_or_sweep_argument,
    jobs_argument,
    jobs_or_sweeps_argument,
)
from fitstop.cli.exit_codes import ExitCode, exit_code
from fitstop.cli.job_ids import find_job_id
from fitstop.cli.removal import confirm, find_jobs, starts_from, yes_option
from fitstop.cli.spec_file import read_assigned
from fitstop.cli.submitted import print_submitted, print_warnings, watch_to_the_end
from fitstop.cli.sweep_ids import find_job_or_sweep, is_sweep
from fitstop.client import TERMINAL, Client, Json
from fitstop.errors import ClientError, NotFound
from fitstop.terminal.follow import follow
from fitstop.terminal.job_view import ending, job_fields
from fitstop.terminal.output import (
    console,
    hint,
    print_error,
    print_json,
    show_rows,
)
from fitstop.terminal.sweep_view import sweep_fields
from fitstop.terminal.watch import event_line


@click.command(
    epilog=examples(
        "fitstop submit job.yaml --set hyperparameters.epochs=50",
        "fitstop submit --set dataset.id=wine-quality --set dataset.target=quality",
        "fitstop submit --from 01K3ZQ --set dataset.id=pets",
    )
)
@click.argument("file", type=click.File("rb"), required=False)
@click.option(
    "--set", "assignments", multiple=True, metavar="A.B=C", help="Set one value of the spec, as JSON or as text."
)
@click.option(
    "--from",
    "earlier",
    metavar="JOB",
    shell_complete=complete_jobs,
    help="Fine-tune the best model of this job on the spec's data.",
)
@click.option("--watch", "watching", is_flag=True, help="Watch the job; Ctrl-C leaves it running.")
@click.option("--dry-run", is_flag=True, help="Check the spec and print what would run, and store nothing.")
@output_option
@click.pass_context
def submit(  # noqa: PLR0913, PLR0917  one for each option
    ctx: click.Context,
    file: Any,
    assignments: tuple[str, ...],
    earlier: str | None,
    watching: bool,  # noqa: FBT001
    dry_run: bool,  # noqa: FBT001
    output: str,
) -> None:
    """Submit a job and print its id.

    FILE is the spec as JSON or YAML; - reads stdin. --set works without a FILE. With --watch the exit status says
    whether the job succeeded. With --from the model is that of another job; model.trainable selects the layers to
    train.
    """
    if file is None and not assignments:
        raise click.UsageError("no spec: give a FILE, - for stdin, or --set")
    spec, client = read_assigned(file, assignments), open_client(ctx)
    if earlier is not None:
        spec = _from_job(spec, find_job_id(client, earlier))
    if dry_run:
        print_json(print_warnings(client.dry_run(spec)))
        return
    print_submitted(ctx, client, client.submit(spec), output, watching=watching)


def _from_job(spec: Json, job_id: str) -> Json:
    """The spec with the model of another job. Of its own model only `trainable` is kept."""
    own = spec.get("model")
    kept = {"trainable": own["trainable"]} if isinstance(own, dict) and "trainable" in own else {}
    return {**spec, "model": {"kind": "job", "job": job_id, **kept}}


@click.command()
@job_or_sweep_argument
@output_option
@click.pass_context
def show(ctx: click.Context, job: str, output: str) -> None:
    """Show one job or sweep.

    JOB is an id, its beginning or end, or a name; -o json includes the spec with all defaults.
    """
    client = open_client(ctx)
    found = find_job_or_sweep(client, job)
    document = client.sweep(found) if is_sweep(found) else client.job(found)
    if output == "json":
        print_json(document)
    elif is_sweep(found):
        show_rows(sweep_fields(document))
    else:
        show_rows(job_fields(document, _evaluation(client, document), _system(client, document)))


def _evaluation(client: Client, job: Json) -> Json | None:
    """The evaluation of the best model; None if it was not evaluated."""
    if job["status"] != "succeeded":
        return None
    try:
        return client.evaluation(job["id"])
    except NotFound:
        return None


def _system(client: Client, job: Json) -> Json | None:
    """The system metrics; None if there are none, or the service is too old to have them."""
    if not job["attempt"]:
        return None
    try:
        document = client.system(job["id"])
    except NotFound:
        return None
    return document if document["data"] else None


@click.command(name="watch")
@job_or_sweep_argument
@click.pass_context
def watch_command(ctx: click.Context, job: str) -> None:
    """Watch a job or a sweep live until it has finished.

    The exit status is 0 if it succeeded and 1 if it failed or was cancelled. Ctrl-C detaches with 0 and leaves it
    running.
    """
    client = open_client(ctx)
    found = find_job_or_sweep(client, job)
    ctx.exit(watch_to_the_end(client, found))


@click.command()
@job_argument
@click.option("-f", "--follow", "following", is_flag=True, help="Print new events until the job has finished.")
@output_option
@click.pass_context
def events(ctx: click.Context, job: str, following: bool, output: str) -> None:  # noqa: FBT001  an option
    """Print the events of a job.

    With -o json: one event on each line.
    """
    client = open_client(ctx)
    screen = console()
    job_id = find_job_id(client, job)
    followed = (event for moment in follow(client, job_id) for event in moment.events)
    for event in followed if following else client.all_events(job_id):
        if output == "json":
            click.echo(json.dumps(event))
        else:
            screen.print(event_line(event), soft_wrap=True)


@click.command()
@job_argument
@click.pass_context
def log(ctx: click.Context, job: str) -> None:
    """Print a job's training_log.csv.

    One row for each epoch, counted from 0 as Keras does.
    """
    client = open_client(ctx)
    for piece in client.training_log(find_job_id(client, job)):
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


@click.command()
@jobs_or_sweeps_argument
@click.pass_context
def cancel(ctx: click.Context, jobs: tuple[str, ...]) -> None:
    """Cancel jobs, or sweeps with their trials. Checkpoints are kept; a finished job does not change."""
    client = open_client(ctx)

    def stop(found: str) -> None:
        if is_sweep(found):
            client.cancel_sweep(found)
            hint(f"{found}: cancel requested; its running trials save their state first")
            return
        document = client.cancel(found)
        hint(f"{document['id']}: {_cancel_words(document)}")

    ctx.exit(for_each(client, jobs, stop))


@click.command()
@jobs_argument
@click.pass_context
def retry(ctx: click.Context, jobs: tuple[str, ...]) -> None:
    """Run failed or cancelled jobs again.

    Each becomes a new job, whose id is printed.
    """
    client = open_client(ctx)
    ctx.exit(for_each(client, jobs, lambda job_id: click.echo(print_warnings(client.retry(job_id))["id"])))


@click.command()
@jobs_or_sweeps_argument
@yes_option
@click.pass_context
def rm(ctx: click.Context, jobs: tuple[str, ...], yes: bool) -> None:  # noqa: FBT001  an option
    """Delete finished jobs with their models and logs.

    Asks first if any of the newest 1,000 jobs started from it; those jobs keep what they need. Deleting a finished
    sweep keeps the jobs of its trials.
    """
    client = open_client(ctx)

    def remove(found: str) -> None:
        if is_sweep(found):
            client.delete_sweep(found)
            hint(f"{found}: deleted")
            return
        users = [] if yes else [one for one in find_jobs(client, starts_from(found)) if one not in jobs]
        if not confirm(found, users, "started from its model, which will no longer be available", yes=yes):
            return
        client.delete(found)
        hint(f"{found}: deleted")

    ctx.exit(for_each(client, jobs, remove))


def for_each(client: Client, jobs: tuple[str, ...], act: Callable[[str], None]) -> ExitCode:
    """Act on every job, even after a failure; return the highest exit status."""
    worst = ExitCode.OK
    for part in jobs:
        try:
            act(find_job_or_sweep(client, part))
        except ClientError as error:
            print_error(error)
            worst = max(worst, exit_code(error))
        except click.UsageError as error:
            hint(f"fitstop: {error.message}")
            worst = max(worst, ExitCode.USAGE)
    return worst


def _cancel_words(job: Json) -> str:
    return ending(job)[0].plain if job["status"] in TERMINAL else "cancel requested; the job saves its state first"
