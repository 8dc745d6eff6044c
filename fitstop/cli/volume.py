"""The volume as a whole: volume copy."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from fitstop.cli.base import FitstopGroup, examples, fail, output_option
from fitstop.cli.exit_codes import ExitCode
from fitstop.local.ports import StackError
from fitstop.local.volume_copy import CopyError, Json, copy_volume
from fitstop.terminal.output import console, hint, print_json, size

_CONTINUED = "The same command continues the copy."
# Nothing was copied, and the same command would be refused again.
_USAGE = frozenset({"copy_refused", "bad_name", "unfit_bucket"})


@click.group(cls=FitstopGroup)
def volume() -> None:
    """Copy a volume between folders and buckets."""


@volume.command(
    epilog=examples(
        "fitstop volume copy fitstop-data/volume s3://models/2026-11-29",
        "fitstop volume copy s3://models/2026-11-29 fitstop-data/volume",
    )
)
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@output_option
@click.pass_context
def copy(ctx: click.Context, source: str, target: str, output: str) -> None:
    """Copy the volume at FROM to the empty place TO.

    Each of them is a folder or an S3-compatible bucket, such as s3://BUCKET/PREFIX. Stop the service
    first: a volume in use is refused. Every file is read back and compared by its hash, and TO becomes a volume only
    when all are there. The same command continues an interrupted copy.

    Keys for a bucket come from the variables and files of the AWS command: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
    AWS_REGION, AWS_ENDPOINT_URL, AWS_PROFILE, ~/.aws.
    """
    try:
        with _show_progress() as report:
            done = copy_volume(source, target, report)
    except StackError as error:
        fail(ctx, str(error))
    except CopyError as error:
        if error.code not in _USAGE:
            hint(_CONTINUED)
        fail(ctx, str(error), ExitCode.USAGE if error.code in _USAGE else ExitCode.BROKEN_FILE)
    except KeyboardInterrupt:
        fail(ctx, f"interrupted. {_CONTINUED}", ExitCode.INTERRUPTED)
    if output == "json":
        print_json(done)
    else:
        click.echo(f"Copied {done['of_files']} files, {size(done['of_bytes'])}, each compared by its hash.")


@contextmanager
def _show_progress() -> Iterator[Callable[[Json], None]]:
    """Yield a function that shows reports of the copy on a terminal, and does nothing elsewhere."""
    screen = console(err=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as progress:
        task = progress.add_task("checking", total=None)

        def report(found: Json) -> None:
            if "of_bytes" in found:
                words = f"{found['files']} of {found['of_files']} files"
                progress.update(task, completed=found["bytes"], total=found["of_bytes"], description=words)

        yield report
