"""Jobs: submit, ps, show, watch, events, log, cancel, retry, rm."""

import itertools
import json
import sys
from collections.abc import Callable
from typing import Any

import click
from rich.table import Table

from fitstop.cli.base import examples, open_client, output_option
from fitstop.cli.exit_codes import ExitCode, exit_code
from fitstop.cli.job_ids import find_job_id
from fitstop.client import TERMINAL, Client, Json
from fitstop.errors import ClientError
from fitstop.set_options import assign
from fitstop.terminal.job_view import ending, job_fields
from fitstop.terminal.output import (
    age,
    console,
    hint,
    literal,
    number,
    print_error,
    print_json,
    show_rows,
    status_text,
    table,
)
from fitstop.terminal.watch import event_line, print_ending, watch

RECENT_FINISHED = 5
_STATUSES = ["queued", "running", "succeeded", "failed", "cancelled"]


@click.command(
    epilog=examples(
        "fitstop submit job.json --set hyperparameters.epochs=50",
        "fitstop submit --set dataset.id=wine-quality --set dataset.target=quality",
        "fitstop submit --from 01K3ZQ --set model.trainable=head --set dataset.id=pets",
    )
)
@click.argument("file", type=click.File("rb"), required=False)
@click.option(
    "--set", "assignments", multiple=True, metavar="A.B=C", help="Set one value of the spec, as JSON or as text."
)
@click.option("--from", "earlier", metavar="JOB", help="Fine-tune the best model of this job on the spec's data.")
@click.option("--watch", "watching", is_flag=True, help="Watch the job; Ctrl-C leaves it running.")
@click.option("--dry-run", is_flag=True, help="Check the spec and print what would run; store nothing.")
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

    FILE is the spec as JSON; - reads stdin. --set works without a FILE. With --watch the exit status says whether the
    job succeeded. With --from the model of the spec is that of another job, given by its id, or the beginning or end of
    it; model.trainable says which of its layers are trained.
    """
    if file is None and not assignments:
        raise click.UsageError("no spec: give a FILE, - for stdin, or --set")
    spec = _spec(file, assignments)
    if earlier is not None:
        spec = _from_job(spec, find_job_id(open_client(ctx), earlier))
    if dry_run:
        print_json(_print_warnings(open_client(ctx).dry_run(spec)))
        return
    print_submitted(ctx, open_client(ctx).submit(spec), output, watching=watching)


def print_submitted(ctx: click.Context, job: Json, output: str, *, watching: bool) -> None:
    """Print a submitted job. With `watching`, watch it and exit with the status of its end."""
    _print_warnings(job)
    if output == "json":
        print_json(job)
    else:
        click.echo(job["id"])
    if watching:
        ctx.exit(watch_to_the_end(open_client(ctx), job["id"]))
    hint(f"fitstop watch {job['id']}")


def _spec(file: Any, assignments: tuple[str, ...]) -> Json:
    try:
        spec = json.load(file) if file is not None else {}
        if not isinstance(spec, dict):
            raise ValueError("the spec is not a JSON object")
        return assign(spec, list(assignments))
    except (ValueError, RecursionError) as error:
        raise click.UsageError(str(error)) from error


def _from_job(spec: Json, job_id: str) -> Json:
    """The spec with the model of another job; of its own model only the choice of what is trained stays."""
    own = spec.get("model")
    kept = {"trainable": own["trainable"]} if isinstance(own, dict) and "trainable" in own else {}
    return {**spec, "model": {"kind": "job", "job": job_id, **kept}}


def _print_warnings(job: Json) -> Json:
    for warning in job.get("warnings") or []:
        hint(f"warning: {warning}")
    return job


def watch_to_the_end(client: Client, job_id: str) -> ExitCode:
    """Watch a job; Ctrl-C detaches. The status says how the job ended; it is 0 for a detach."""
    try:
        job = watch(client, job_id)
        print_ending(job)
    except KeyboardInterrupt:
        hint("")
        hint("Detached. The job continues to run. To watch it again, or to cancel it:")
        hint(f"  fitstop watch {job_id}")
        hint(f"  fitstop cancel {job_id}")
        return ExitCode.OK
    return ExitCode.OK if job["status"] == "succeeded" else ExitCode.JOB_FAILED


@click.command()
@click.option("-a", "--all", "everything", is_flag=True, help="List all jobs.")
@click.option("-n", "count", type=click.IntRange(1), help="List the newest N jobs.")
@click.option("--status", type=click.Choice(_STATUSES), help="List only jobs with this status.")
@click.option("-q", "--quiet", is_flag=True, help="Print only ids.")
@output_option
@click.pass_context
def ps(  # noqa: PLR0913, PLR0917  one for each option
    ctx: click.Context,
    everything: bool,  # noqa: FBT001
    count: int | None,
    status: str | None,
    quiet: bool,  # noqa: FBT001
    output: str,
) -> None:
    """List unfinished jobs and the latest finished ones."""
    client = open_client(ctx)
    if everything or count or status:
        jobs = list(itertools.islice(client.all_jobs(status=status), None if everything else count or 100))
    else:
        jobs = _unfinished_and_recent(client)
    if output == "json":
        print_json({"object": "list", "data": jobs})
        return
    if quiet:
        for job in jobs:
            click.echo(job["id"])
        return
    if jobs:
        show_rows(_job_table(jobs))
    else:
        hint("No jobs. `fitstop demo` runs an example; `fitstop submit job.json` submits yours.")
    for one in client.jobs(limit=1).get("set_aside") or []:
        hint(f"not listed: {one['id']}: {one['message']}")


def _unfinished_and_recent(client: Client) -> list[Json]:
    newest = client.jobs(limit=100)["data"]
    unfinished = [*client.all_jobs(status="running"), *client.all_jobs(status="queued")]
    finished = [job for job in newest if job["status"] in TERMINAL][:RECENT_FINISHED]
    # A job that ended between the two requests is in both.
    chosen = {job["id"]: job for job in [*unfinished, *finished]}
    return [chosen[job_id] for job_id in sorted(chosen, reverse=True)]


def _job_table(jobs: list[Json]) -> Table:
    grid = table("ID", "NAME", "STATUS", "EPOCH", "BEST", "AGE", right=("EPOCH", "BEST", "AGE"))
    for job in jobs:
        progress = job.get("progress") or {}
        best = (progress.get("best") or {}).get("value")
        epoch = f"{progress['epoch']}/{progress['epochs']}" if progress else "-"
        grid.add_row(
            job["id"],
            literal(job.get("name") or "-"),
            status_text(job["status"]),
            epoch,
            number(best),
            age(job.get("created_at")),
        )
    return grid


@click.command()
@click.argument("job")
@output_option
@click.pass_context
def show(ctx: click.Context, job: str, output: str) -> None:
    """Show one job. JOB is an id, or its beginning or end; -o json includes the spec with all defaults."""
    client = open_client(ctx)
    document = client.job(find_job_id(client, job))
    if output == "json":
        print_json(document)
    else:
        show_rows(job_fields(document))


@click.command(name="watch")
@click.argument("job")
@click.pass_context
def watch_command(ctx: click.Context, job: str) -> None:
    """Watch a job live until it has finished.

    The exit status is 0 if the job succeeded and 1 if it failed or was cancelled. Ctrl-C detaches with 0 and leaves the
    job running.
    """
    client = open_client(ctx)
    ctx.exit(watch_to_the_end(client, find_job_id(client, job)))


@click.command()
@click.argument("job")
@output_option
@click.pass_context
def events(ctx: click.Context, job: str, output: str) -> None:
    """Print the events of a job.

    With -o json: one event on each line.
    """
    client = open_client(ctx)
    screen = console()
    for event in client.all_events(find_job_id(client, job)):
        if output == "json":
            click.echo(json.dumps(event))
        else:
            screen.print(event_line(event), soft_wrap=True)


@click.command()
@click.argument("job")
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
@click.argument("jobs", nargs=-1, required=True, metavar="JOB...")
@click.pass_context
def cancel(ctx: click.Context, jobs: tuple[str, ...]) -> None:
    """Cancel jobs. Their checkpoints are kept; a finished job does not change."""
    client = open_client(ctx)

    def stop(job_id: str) -> None:
        document = client.cancel(job_id)
        hint(f"{document['id']}: {_cancel_words(document)}")

    ctx.exit(_for_each(client, jobs, stop))


@click.command()
@click.argument("jobs", nargs=-1, required=True, metavar="JOB...")
@click.pass_context
def retry(ctx: click.Context, jobs: tuple[str, ...]) -> None:
    """Run failed or cancelled jobs again.

    Each becomes a new job, whose id is printed.
    """
    client = open_client(ctx)
    ctx.exit(_for_each(client, jobs, lambda job_id: click.echo(_print_warnings(client.retry(job_id))["id"])))


@click.command()
@click.argument("jobs", nargs=-1, required=True, metavar="JOB...")
@click.pass_context
def rm(ctx: click.Context, jobs: tuple[str, ...]) -> None:
    """Delete finished jobs with their models and logs."""
    client = open_client(ctx)

    def remove(job_id: str) -> None:
        client.delete(job_id)
        hint(f"{job_id}: deleted")

    ctx.exit(_for_each(client, jobs, remove))


def _for_each(client: Client, jobs: tuple[str, ...], act: Callable[[str], None]) -> ExitCode:
    """Act on every job, also after one that fails; return the highest exit status."""
    worst = ExitCode.OK
    for part in jobs:
        try:
            act(find_job_id(client, part))
        except ClientError as error:
            print_error(error)
            worst = max(worst, exit_code(error))
    return worst


def _cancel_words(job: Json) -> str:
    return ending(job)[0].plain if job["status"] in TERMINAL else "cancel requested; the job saves its state first"
