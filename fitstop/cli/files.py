"""Files in and out: datasets put, ls and rm, download, bundle."""

import os
from pathlib import Path
from typing import Any

import click

from fitstop.cli.base import FitstopGroup, examples, fail, open_client, output_option
from fitstop.cli.completion import dataset_argument, job_argument
from fitstop.cli.exit_codes import ExitCode
from fitstop.cli.job_ids import find_job_id
from fitstop.cli.removal import confirm, find_jobs, reads_dataset, yes_option
from fitstop.cli.work_files import download_files
from fitstop.client import Client, Json
from fitstop.connection import DATA_VARIABLE, DEFAULT_DATA
from fitstop.errors import NotFound, Problem
from fitstop.local.wine import SAMPLES, UCI_URL, NoWine, sample
from fitstop.terminal.datasets import dataset_fields, dataset_parts, describe_content, show_sent
from fitstop.terminal.output import age, hint, literal, print_json, show_rows, size, table


@click.group(cls=FitstopGroup)
def datasets() -> None:
    """Upload, list and remove datasets."""


@datasets.command(
    epilog=examples(
        "fitstop datasets put churn customers.csv",
        "fitstop datasets put pets ./pets",
        "fitstop datasets put breast-cancer --sample",
    )
)
@click.argument("dataset_id", metavar="ID")
@click.argument("file", type=click.Path(exists=True, path_type=Path), required=False)
@click.option("--sample", "is_sample", is_flag=True, help="Upload the public dataset named ID instead of a FILE.")
@click.option(
    "--missing-values",
    metavar="MARKS",
    help="Cells to read as missing values instead of the usual ones, such as NA,?,-999.",
)
@click.option(
    "--column-kind",
    "column_kinds",
    metavar="NAME:KIND",
    multiple=True,
    help="Kind of a column: text, number or datetime, such as zip:text. May be repeated.",
)
@output_option
@click.pass_context
def put(
    ctx: click.Context, /, dataset_id: str, file: Path | None, output: str, *, is_sample: bool, **reading: Any
) -> None:
    """Upload FILE as dataset ID. Uploading the same bytes again changes nothing.

    FILE is a table (CSV, Parquet), images (a folder with a folder for each class, a zip or a tar) or arrays (npz). A
    folder is packed while it is sent. A large upload resumes after a lost connection, or when an interrupted command is
    run again.

    Samples: wine-quality (the data of the article, from UCI), and breast-cancer and digits (images), which come from
    scikit-learn and need no internet.
    """
    if is_sample == (file is not None):
        raise click.UsageError("give either a FILE or --sample")
    path = file or _sample(ctx, dataset_id)
    try:
        with show_sent() as on_sent:
            document = open_client(ctx).put_dataset(dataset_id, path, on_sent=on_sent, **reading)
    except KeyboardInterrupt:
        hint("Cancelled. The same command continues a large upload where it stopped, within a day.")
        raise
    if output == "json":
        print_json(document)
    else:
        click.echo(document["id"])
        hint(describe_content(document))
        for warning in document.get("warnings", ()):
            hint(f"warning: {warning}")


def _sample(ctx: click.Context, name: str) -> Path:
    if name not in SAMPLES:
        raise click.UsageError(f'there is no sample "{name}"; samples: {", ".join(SAMPLES)}')
    folder = Path(os.environ.get(DATA_VARIABLE) or DEFAULT_DATA) / "downloads"
    try:
        return sample(name, folder, os.environ.get("FITSTOP_WINE_URL") or UCI_URL)
    except NoWine as error:
        fail(ctx, f"the sample cannot be downloaded ({error}); breast-cancer --sample needs no internet")
    except ImportError:
        fail(ctx, "this sample comes with scikit-learn, which is not installed here: pip install 'fitstop[local]'")


@datasets.command(name="ls")
@output_option
@click.pass_context
def list_datasets(ctx: click.Context, output: str) -> None:
    """List the datasets."""
    document = open_client(ctx).datasets()
    if output == "json":
        print_json(document)
        return
    grid = table("ID", "KIND", "CONTENT", "SIZE", "AGE", "FILE", right=("SIZE", "AGE"))
    for one in document["data"]:
        grid.add_row(
            one["id"],
            literal(one.get("kind", "table")),
            describe_content(one),
            size(one.get("bytes")),
            age(one.get("created_at")),
            literal(one.get("source_name") or "-"),
        )
    if document["data"]:
        show_rows(grid)
    else:
        hint("No datasets. `fitstop datasets put ID FILE` uploads one.")


@datasets.command(name="show")
@dataset_argument
@output_option
@click.pass_context
def show_dataset(ctx: click.Context, dataset_id: str, output: str) -> None:
    """Show a dataset: its columns, its classes, or its arrays."""
    document = open_client(ctx).dataset(dataset_id)
    if output == "json":
        print_json(document)
        return
    show_rows(dataset_fields(document))
    click.echo("")
    show_rows(dataset_parts(document))


@datasets.command(name="rm")
@dataset_argument
@yes_option
@click.pass_context
def remove_dataset(ctx: click.Context, dataset_id: str, yes: bool) -> None:  # noqa: FBT001  an option
    """Delete a dataset that no unfinished job uses. Finished jobs keep their models.

    Asks first if any of the newest 1,000 jobs was trained on it: such a job can no longer be retried or extended.
    """
    client = open_client(ctx)
    users = find_jobs(client, reads_dataset(dataset_id))
    if not confirm(dataset_id, users, "can no longer be retried or extended afterwards", yes=yes):
        ctx.exit(ExitCode.OK)
    client.delete_dataset(dataset_id)
    hint(f"{dataset_id}: deleted")


_force = click.option("--force", is_flag=True, help="Replace files that exist.")


@click.command()
@job_argument
@click.option("-o", "--output", "to", type=click.Path(), help="File or folder to write to.")
@_force
@click.pass_context
def bundle(ctx: click.Context, job: str, to: str | None, force: bool) -> None:  # noqa: FBT001  an option
    """Download the best model with its preprocessing.

    The zip file contains a program that predicts without Fitstop.
    """
    client = open_client(ctx)
    job_id = find_job_id(client, job)
    path = _target(f"{job_id}.zip", to, force=force)
    client.download_bundle(job_id, path)
    click.echo(str(path))
    hint(f"python3 -m zipfile -e {path} . && cd {job_id}")
    hint("pip install -r requirements.txt && python predict.py DATA")


@click.command()
@job_argument
@click.option("--checkpoint", metavar="NAME", help="Checkpoint to download. Default: the best model.")
@click.option("--files", "wants_files", is_flag=True, help="Download the files that the job's script made instead.")
@click.option("-o", "--output", "to", type=click.Path(), help="File or folder to write to.")
@_force
@click.pass_context
def download(  # noqa: PLR0913, PLR0917  one for each option
    ctx: click.Context,
    job: str,
    checkpoint: str | None,
    wants_files: bool,  # noqa: FBT001
    to: str | None,
    force: bool,  # noqa: FBT001
) -> None:
    """Download a job's best model and check its sha256. Each file is written completely or not at all.

    With --files: the files of a script's working folder, into the folder of -o, else JOB-files.
    """
    client = open_client(ctx)
    job_id = find_job_id(client, job)
    if wants_files:
        folder = Path(f"{job_id}-files" if to is None else to)
        ctx.exit(download_files(client, job_id, folder, force=force))
    chosen = choose_checkpoint(client, job_id, checkpoint)
    path = _target(chosen["name"], to, force=force)
    client.download_checkpoint(job_id, chosen, path)
    click.echo(str(path))
    hint(f"{size(chosen.get('bytes'))}, epoch {chosen.get('epoch')}, sha256 {chosen['sha256']}")


def choose_checkpoint(client: Client, job_id: str, name: str | None) -> Json:
    """The checkpoint with that name, or the best one. Raises NotFound with the names of the others."""
    saved: list[Json] = client.checkpoints(job_id)["data"]
    for one in saved:
        if one["name"] == name or (name is None and one["is_best"]):
            return one
    names = ", ".join(one["name"] for one in saved) or "none"
    wanted = f'no checkpoint "{name}"' if name else "no best checkpoint"
    raise NotFound(Problem(404, "Not found", f"{job_id} has {wanted}; it has: {names}", "not_found"))


def _target(name: str, to: str | None, *, force: bool) -> Path:
    """The path for the file `name`: `to`, or below it if it is a folder. Creates `to` if it ends with a slash."""
    # The name comes from the service, so only its last part is used.
    own = Path(Path(name).name)
    if to is not None and to.endswith(os.sep):
        Path(to).mkdir(parents=True, exist_ok=True)
    path = own if to is None else Path(to) / own if Path(to).is_dir() else Path(to)
    if not path.parent.is_dir():
        raise click.UsageError(f"the folder {path.parent} does not exist")
    if path.exists() and not force:
        raise click.UsageError(f"{path} exists already; --force replaces it, -o sets another file or folder")
    return path
