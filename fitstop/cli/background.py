"""The local stack in the background: `up -d` and `down`."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import click
from click.core import ParameterSource

from fitstop.cli.base import fail
from fitstop.cli.exit_codes import ExitCode
from fitstop.connection import DATA_VARIABLE, DEFAULT_DATA, Connection, read_cli_json
from fitstop.local.component import rotate_log
from fitstop.local.data_lock import Holder, find_holder
from fitstop.local.ports import StackError
from fitstop.local.stack import NotReady, StackOptions, admin_key_file, running_stack
from fitstop.terminal.output import fields, hint, plain_lines, show_rows

_LOOK_SECONDS = 0.1
# The beginning of a line of `up` that reports an event. Other lines explain how to use the service.
_EVENT = re.compile(r"\d\d:\d\d:\d\d  ")
# A worker gets 25 s to save its jobs, the API 10 s, and the others 5 s each.
_MOST_STOP_SECONDS = 90

data_option = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEFAULT_DATA,
    show_default=True,
    envvar=DATA_VARIABLE,
    help="Folder that holds the volume, the logs and the key.",
)


def _read_bucket(ctx: click.Context, option: click.Parameter, given: str | None) -> str:
    """The address of a bucket; empty for a folder, which FITSTOP_VOLUME may name for other processes."""
    if given and "://" in given:
        return given
    if ctx.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE:
        raise click.BadParameter("expected s3://BUCKET/PREFIX; for a volume on a disk, --data names the folder")
    return ""


bucket_option = click.option(
    "--volume",
    "bucket",
    metavar="ADDRESS",
    envvar="FITSTOP_VOLUME",
    callback=_read_bucket,
    help="Bucket that holds the volume, such as s3://models/fitstop, instead of the data folder.",
)


def start_in_background(options: StackOptions) -> None:
    """Start the service as a separate process, wait until it is ready, and print its address.

    Raises StackError or NotReady with the process's message if it ends first. A KeyboardInterrupt does not stop it.
    """
    data = options.data.resolve()
    running = running_stack(data)
    if running is not None:
        hint(f"A service already runs on {data}.")
        _show(running, data)
        return
    log = data / "logs" / "up.log"
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        rotate_log(log)
        with log.open("ab") as file:
            begin = file.tell()
            process = _start(options, data, file)
    except OSError as error:
        raise StackError(f"{data} cannot be used as the data folder: {error}") from error
    hint(f"Starting {options.describe()} in {data} …")
    try:
        _wait_until_ready(process, data, log, begin)
    except KeyboardInterrupt:
        hint("")
        hint("It continues to start in the background. `fitstop down` stops it.")
        raise
    found = running_stack(data)
    if found is None:
        raise StackError(f"the service was ready but does not answer; see {log}")
    _show(found, data)


def _start(options: StackOptions, data: Path, log: IO[bytes]) -> subprocess.Popen[bytes]:
    port = [] if options.port is None else ["--port", str(options.port)]
    bucket = ["--volume", options.bucket] if options.bucket else []
    redis = [] if options.has_redis else ["--no-redis"]
    more = ["--data", str(data), "--host", options.host, "--slots", str(options.slots), *port, *bucket, *redis]
    command = [sys.executable, "-P", "-m", "fitstop.cli.main", "up", *more]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)


def _wait_until_ready(process: subprocess.Popen[bytes], data: Path, log: Path, begin: int) -> None:
    seen = begin
    while (stack := read_cli_json(data)) is None or stack.pid != process.pid:
        if process.poll() is not None:
            said = log.read_bytes()[begin:].decode(errors="replace").strip().removeprefix("fitstop: ")
            words = plain_lines(said) or f"it has ended; see {log}"
            raise StackError(words) if process.returncode == ExitCode.USAGE else NotReady(words)
        seen = show_events(log, seen)
        time.sleep(_LOOK_SECONDS)


def show_events(log: Path, seen: int) -> int:
    """Print new events from the log of `up`, such as a bucket that it waits for; return the bytes read so far."""
    with log.open("rb") as file:
        file.seek(seen)
        lines, end, _ = file.read().rpartition(b"\n")
    for line in lines.decode(errors="replace").split("\n"):
        if _EVENT.match(line):
            hint(plain_lines(line))
    return seen + len(lines) + len(end)


def _show(service: Connection, data: Path) -> None:
    own = os.environ.get("FITSTOP_ADMIN_KEY")
    rows: list[tuple[str, object]] = [
        ("API", service.url),
        ("page", f"{service.url}/ (to log in: fitstop open)"),
        ("key", "the one in FITSTOP_ADMIN_KEY" if own else str(admin_key_file(data))),
        ("logs", data / "logs"),
    ]
    show_rows(fields(rows))
    where = "" if data == DEFAULT_DATA.resolve() else f" --data {data}"
    hint(f"fitstop down{where} stops it.")


@click.command()
@data_option
@click.pass_context
def down(ctx: click.Context, data: Path) -> None:
    """Stop the service that `fitstop up` runs on a data folder, in the background or in another terminal.

    Running jobs save their state and resume at the next start. Waits until everything has ended.
    """
    holder = find_holder(data)
    if holder is None:
        hint(f"No service runs on {data.resolve()}.")
        return
    if not holder.is_here:
        fail(ctx, f"the service on {data.resolve()} runs on {holder.host}; stop it there")
    hint(f"Stopping the service on {data.resolve()}; running jobs save their state …")
    try:
        os.kill(holder.pid, signal.SIGTERM)
    except ProcessLookupError:
        pass  # it has exited
    except PermissionError:
        fail(ctx, f"process {holder.pid} belongs to another user", ExitCode.DENIED)
    if not _wait_for_end(holder):
        fail(ctx, f"process {holder.pid} has not ended yet; its log is in {data / 'logs'}", ExitCode.SERVER_ERROR)
    hint("Stopped. The data stays in " + str(data.resolve()))


def _wait_for_end(holder: Holder) -> bool:
    deadline = time.monotonic() + _MOST_STOP_SECONDS
    while holder.is_alive:
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_SECONDS)
    return True
