"""`fitstop tag` and `fitstop note`: annotations of a job."""

import sys
from typing import Any

import click

from fitstop.cli.base import examples, open_client
from fitstop.cli.completion import job_argument, jobs_argument
from fitstop.cli.job_ids import find_job_id
from fitstop.cli.jobs import for_each
from fitstop.client import Json
from fitstop.terminal.output import hint, plain, plain_lines


@click.command(
    epilog=examples("fitstop tag 01K3ZQ --add baseline --add paper", "fitstop tag wine-1 wine-2 --remove paper")
)
@jobs_argument
@click.option("--add", "added", multiple=True, metavar="TAG", help="Tag to add. May be repeated.")
@click.option("--remove", "removed", multiple=True, metavar="TAG", help="Tag to remove. May be repeated.")
@click.pass_context
def tag(ctx: click.Context, jobs: tuple[str, ...], added: tuple[str, ...], removed: tuple[str, ...]) -> None:
    """Add tags to jobs and remove them; without options, print the tags of each job.

    `fitstop ps --tag TAG` lists the jobs with a tag.
    """
    client = open_client(ctx)
    changes: Json = {"add_tags": list(added), "remove_tags": list(removed)}
    asked = {name: tags for name, tags in changes.items() if tags}

    def change(job_id: str) -> None:
        if asked:
            hint(f"{job_id}: {_tag_words(client.change(job_id, asked))}")
            return
        for one in client.job(job_id).get("tags") or []:
            click.echo(plain(one))

    ctx.exit(for_each(client, jobs, change))


@click.command(epilog=examples('fitstop note 01K3ZQ "Augmentation was off."', "fitstop note 01K3ZQ - < note.txt"))
@job_argument
@click.argument("text", required=False)
@click.option("--clear", is_flag=True, help="Remove the note.")
@click.pass_context
def note(ctx: click.Context, job: str, text: str | None, clear: bool) -> None:  # noqa: FBT001  an option
    """Write the note of a job; without TEXT, print it.

    TEXT replaces the note; - reads it from stdin.
    """
    if clear and text is not None:
        raise click.UsageError("give TEXT or --clear, not both")
    client = open_client(ctx)
    job_id = find_job_id(client, job)
    if text is None and not clear:
        found = plain_lines(client.job(job_id).get("note") or "")
        click.echo(found, nl=bool(found))
        return
    client.change(job_id, {"note": "" if clear else _read(text)})
    hint(f"{job_id}: {'the note was removed' if clear else 'the note was saved'}")


def _read(text: Any) -> str:
    return sys.stdin.read().rstrip("\n") if text == "-" else str(text)


def _tag_words(job: Json) -> str:
    return ", ".join(job.get("tags") or []) or "no tags"
