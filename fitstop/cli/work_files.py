"""download --files: the files that a script left in its working folder."""

from pathlib import Path, PurePosixPath, PureWindowsPath

import click

from fitstop.cli.exit_codes import ExitCode, exit_code
from fitstop.client import Client
from fitstop.errors import ClientError
from fitstop.terminal.output import hint, plain, print_error, size
from fitstop.terminal.programs import count_files


def download_files(client: Client, job_id: str, folder: Path, *, force: bool) -> ExitCode:
    """Download the files of a job's script into `folder`, even after a failure; return the highest exit status.

    Without `force`, nothing is written if one of the files already exists.
    """
    listing = client.files(job_id)
    if not force:
        _refuse_existing(folder, [str(file["path"]) for file in listing["data"]])
    worst, written = ExitCode.OK, 0
    for file in listing["data"]:
        path = str(file["path"])
        if not _is_below(path):
            hint(f"not written, its name leads elsewhere on this system: {plain(path)}")
            continue
        target = folder.joinpath(*path.split("/"))
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            client.download_file(job_id, path, target)
        except ClientError as error:
            hint(plain(path))
            print_error(error)
            worst = max(worst, exit_code(error))
            continue
        written += 1
        click.echo(plain(target))
    total = sum(file["bytes"] for file in listing["data"])
    hint(f"{count_files(written)} of {len(listing['data'])}, {size(total)}")
    if listing["has_more"]:
        hint("The job has more files than one list holds.")
    return worst


def _refuse_existing(folder: Path, paths: list[str]) -> None:
    there = [path for path in paths if _is_below(path) and folder.joinpath(*path.split("/")).exists()]
    if there:
        more = f" and {len(there) - 1} more of the files exist" if len(there) > 1 else " exists"
        raise click.UsageError(f"{plain(folder / there[0])}{more} already; --force replaces, -o names another folder")


def _is_below(path: str) -> bool:
    """Whether a path from the service stays below a folder of this system."""
    if {"", ".", ".."} & set(path.split("/")) or "\0" in path:
        return False
    kind = type(Path())
    return issubclass(kind, PurePosixPath) or not (PureWindowsPath(path).drive or "\\" in path or ":" in path)
