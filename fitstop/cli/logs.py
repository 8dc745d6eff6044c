"""`fitstop logs`: the output of a job's training processes."""

from collections.abc import Iterator

import click

from fitstop.cli.base import examples, open_client
from fitstop.cli.completion import job_argument
from fitstop.cli.job_ids import find_job_id
from fitstop.client import Client, Json
from fitstop.terminal.follow import follow_output
from fitstop.terminal.output import hint, plain, plain_lines


@click.command(epilog=examples("fitstop logs JOB -n 50", "fitstop logs JOB -f"))
@job_argument
@click.option("-f", "--follow", is_flag=True, help="Print new output until the job has finished. Ctrl-C ends it.")
@click.option("-n", "--lines", type=click.IntRange(1, 10_000), help="Print only the last N lines of the output so far.")
@click.pass_context
def logs(ctx: click.Context, job: str, follow: bool, lines: int | None) -> None:  # noqa: FBT001  an option
    """Print the output of a job's training processes.

    Attempts follow one another, each after a line with its number. Only the beginning and the end of long output are
    kept. Control characters are printed as escapes.
    """
    client = open_client(ctx)
    job_id = find_job_id(client, job)
    page = client.output(job_id, lines=lines)
    printer = _Printer()
    try:
        for piece in follow_output(client, job_id, page) if follow else _pieces(client, job_id, page, lines):
            printer.print(piece)
    except KeyboardInterrupt:
        hint("")
    if printer.attempt is None:
        hint("No output: no training process has printed anything.")


def _pieces(client: Client, job_id: str, page: Json, lines: int | None) -> Iterator[Json]:
    yield from page["data"]
    while lines is None and page["has_more"]:
        page = client.output(job_id, page["next"])
        yield from page["data"]


class _Printer:
    """Prints pieces of output, with a line before each attempt."""

    def __init__(self) -> None:
        self.attempt: int | None = None
        self._is_inside_line = False

    def print(self, piece: Json) -> None:
        if piece["attempt"] != self.attempt:
            self.attempt = piece["attempt"]
            host = piece.get("host")
            self._print_line(f"==> attempt {self.attempt}{f' on {host}' if host else ''} <==")
        if piece.get("skipped_bytes"):
            self._print_line(f"[... {piece['skipped_bytes']} bytes were removed here ...]")
        click.echo(plain_lines(piece["text"]), nl=False)
        self._is_inside_line = not piece["text"].endswith("\n")

    def _print_line(self, text: str) -> None:
        click.echo(("\n" if self._is_inside_line else "") + plain(text))
        self._is_inside_line = False
