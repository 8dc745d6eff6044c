"""Copies of logs for other programs: export tensorboard, export mlflow."""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import click

from fitstop.cli.base import FitstopGroup, examples, fail, open_client
from fitstop.cli.completion import complete_jobs, jobs_argument
from fitstop.cli.exit_codes import ExitCode
from fitstop.cli.job_ids import find_job_id
from fitstop.client import TERMINAL, Client, Json
from fitstop.connection import check_url
from fitstop.export.live import LiveExport
from fitstop.export.mlflow import MlflowServer
from fitstop.export.rows import read_rows
from fitstop.export.tensorboard import write_run
from fitstop.terminal.output import hint

_LOOK_SECONDS = 5

_follow = click.option("-f", "--follow", is_flag=True, help="Export again until the jobs have finished.")


@click.group(cls=FitstopGroup)
def export() -> None:
    """Copy the logs of jobs to TensorBoard or MLflow, each epoch once."""


@export.command(epilog=examples("fitstop export tensorboard JOB --to runs"))
@jobs_argument
@click.option(
    "--to", type=click.Path(file_okay=False, path_type=Path), default="runs", show_default=True,
    help="Folder that TensorBoard reads.",
)  # fmt: skip
@_follow
@click.pass_context
def tensorboard(ctx: click.Context, jobs: tuple[str, ...], to: Path, follow: bool) -> None:  # noqa: FBT001
    """Write event files for TensorBoard. Files of an earlier export of a job are replaced.

    Needs the package tensorboard: pip install 'fitstop[tensorboard]'.
    """

    def write(client: Client, job: Json) -> str:
        return str(write_run(job, read_rows(client, job), to))

    try:
        _export(ctx, jobs, write, follow=follow)
    except ImportError:
        fail(ctx, "this needs the package tensorboard: pip install 'fitstop[tensorboard]'")


@export.command(
    epilog=examples("fitstop export mlflow JOB --uri http://127.0.0.1:5000", "fitstop export mlflow --live")
)
@click.argument("jobs", nargs=-1, metavar="[JOB]...", shell_complete=complete_jobs)
@click.option("--uri", metavar="URL", help="MLflow server. Default: FITSTOP_MLFLOW_URI, then MLFLOW_TRACKING_URI.")
@click.option("--experiment", default="fitstop", show_default=True, help="Experiment that the runs belong to.")
@_follow
@click.option("--live", is_flag=True, help="Send all jobs while they run, from now on, until Ctrl-C.")
@click.pass_context
def mlflow(  # noqa: PLR0913, PLR0917  one for each option
    ctx: click.Context,
    jobs: tuple[str, ...],
    uri: str | None,
    experiment: str,
    follow: bool,  # noqa: FBT001
    live: bool,  # noqa: FBT001
) -> None:
    """Send logs to an MLflow server. A job is one run; epochs that the run has are not sent again.

    With --live: the jobs that have not finished and all later ones, of every project that the key may see. `fitstop up`
    does this automatically if FITSTOP_MLFLOW_URI is set.
    """
    if live == bool(jobs):
        raise click.UsageError("give either JOBs or --live")
    address = uri or os.environ.get("FITSTOP_MLFLOW_URI") or os.environ.get("MLFLOW_TRACKING_URI")
    if not address:
        fail(ctx, "no MLflow server is named: use --uri or FITSTOP_MLFLOW_URI")
    try:
        server = MlflowServer(check_url(address))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    ctx.call_on_close(server.close)
    if live:
        _run_live(ctx, server, experiment)

    def send(client: Client, job: Json) -> str:
        run_id, sent = server.export(job, read_rows(client, job), experiment)
        return f"run {run_id}, {sent} new epochs"

    _export(ctx, jobs, send, follow=follow)


def _run_live(ctx: click.Context, server: MlflowServer, experiment: str) -> NoReturn:
    try:
        LiveExport(open_client(ctx), server, experiment, _log).run()
    except KeyboardInterrupt:
        hint("")
    ctx.exit(ExitCode.OK)


def _log(text: str) -> None:
    hint(f"{datetime.now(UTC).isoformat(timespec='seconds')} {text}")


def _export(ctx: click.Context, jobs: tuple[str, ...], copy: Callable[[Client, Json], str], *, follow: bool) -> None:
    client = open_client(ctx)
    waiting = [find_job_id(client, job) for job in jobs]
    try:
        while waiting:
            # The job is read before its rows, so a job that ends in between is exported again.
            found = [client.job(job_id) for job_id in waiting]
            for job in found:
                click.echo(f"{job['id']}: {copy(client, job)}")
            waiting = [job["id"] for job in found if follow and job["status"] not in TERMINAL]
            time.sleep(_LOOK_SECONDS if waiting else 0)
    except KeyboardInterrupt:
        hint("")
        ctx.exit(ExitCode.INTERRUPTED)
    except OSError as error:
        fail(ctx, f"{error.filename or ''}: {error.strerror or error}", ExitCode.BROKEN_FILE)
