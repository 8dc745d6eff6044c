"""The local stack: up, demo."""

import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import click
from rich.text import Text

from fitstop.cli.background import bucket_option, data_option, start_in_background
from fitstop.cli.base import examples, fail
from fitstop.cli.exit_codes import ExitCode
from fitstop.client import Client, Json
from fitstop.connection import DEFAULT_DATA, Connection
from fitstop.local.component import GaveUp
from fitstop.local.demo import DemoData, find_data, find_images, run_demo
from fitstop.local.ports import StackError
from fitstop.local.redis_server import find_redis_server
from fitstop.local.stack import LocalStack, NotReady, StackOptions, admin_key_file, running_stack, wants_redis
from fitstop.terminal.output import console, fields, hint, literal, plain, show_rows


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, envvar="FITSTOP_HOST", help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    envvar="FITSTOP_PORT",
    help="Port to listen on.  [default: 8000, or the next free one]",
)
@data_option
@click.option(
    "--slots",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    envvar="FITSTOP_SLOTS",
    help="Jobs to run at the same time.",
)
@bucket_option
@click.option("--no-redis", is_flag=True, help="Start no Redis, as with FITSTOP_REDIS_URL=none.")
@click.option("-d", "--detach", is_flag=True, help="Run it in the background, until `fitstop down`.")
@click.pass_context
def up(  # noqa: PLR0913, PLR0917  one for each option
    ctx: click.Context,
    host: str,
    port: int | None,
    data: Path,
    slots: int,
    bucket: str,
    no_redis: bool,  # noqa: FBT001
    detach: bool,  # noqa: FBT001
) -> None:
    """Run the whole service in this terminal, or with -d in the background.

    Starts Redis, the API and a worker. Their data stays in one folder, which the next start uses again. Ctrl-C stops
    the service: running jobs save their state and resume at the next start. A second Ctrl-C kills the processes.

    Redis only makes jobs start sooner: without it, the worker checks for jobs every FITSTOP_SWEEP_SECONDS (default: 5).

    With --volume s3://BUCKET/PREFIX the volume is in a bucket, and workers elsewhere need only the bucket. The data
    folder then holds the key, the logs, and copies of files that may be lost.
    """
    options = StackOptions(data, host, port, slots, has_redis=wants_redis() and not no_redis, bucket=bucket)
    if detach:
        with _report_errors(ctx):
            start_in_background(options)
        return
    with _report_errors(ctx), _signals_interrupt(), LocalStack(options, _event) as stack:
        try:
            card = _start(stack)
            _print_screen(stack, data, card)
            if reason := card.get("unfit") or card.get("paused"):
                _event(f"the worker takes no jobs: {reason}")
            stack.stay()
            _event("the worker was idle for FITSTOP_IDLE_EXIT_SECONDS; stopping the service")
        except KeyboardInterrupt:
            _event("stopping the service; running jobs save their state (Ctrl-C again kills its processes)")
    _event("stopped; the data stays in " + str(stack.data))


def _start(stack: LocalStack) -> Json:
    """Start the stack, wait for its worker, and return the worker's card."""
    stack.start()
    hint(f"Starting {stack.options.describe()} in {stack.data} …")
    card = stack.wait_ready()
    if not (card.get("unfit") or card.get("paused")):
        hint(f"A worker is ready: {card['device']} on {card['host']}, {card['slots']} slot{'s'[: card['slots'] > 1]}.")
    return card


def idle_gpu_lines(card: Json) -> list[str]:
    """The warning about an unused GPU, with the commands that fix it; empty if there is none."""
    if not card.get("idle_gpu"):
        return []
    lock = Path(__file__).parents[2] / "requirements" / "gpu.txt"
    wanted = f"--require-hashes -r {shlex.quote(str(lock))}" if lock.exists() else "'fitstop[gpu]'"
    pip = f"{shlex.quote(sys.executable)} -m pip"
    return [
        f"The {card['idle_gpu']} is idle: jobs train on the CPU, because the CPU build of TensorFlow is installed.",
        "To train on the GPU, install the GPU build and start again:",
        f"  {pip} uninstall -y tensorflow-cpu && {pip} install {wanted}",
    ]


def _print_screen(stack: LocalStack, data: Path, card: Json) -> None:
    screen = console()
    screen.print()
    screen.print(Text("Fitstop is up."), style="bold green")
    for line in idle_gpu_lines(card):
        screen.print(literal(line, "bold red"), soft_wrap=True)
    rows: list[tuple[str, object]] = [
        ("device", card["device"]),
        ("API", stack.url),
        ("page", f"{stack.url}/ (to log in: fitstop open)"),
        ("key", _where_the_key_is(stack)),
        ("programs", _how_programs_run(card)),
        ("volume", _where_the_volume_is(stack)),
        ("logs", stack.logs),
        ("Redis", f"{find_redis_server()}, for the queue only" if stack.options.has_redis else "none"),
    ]
    show_rows(fields(rows))
    screen.print()
    key = f"export FITSTOP_API_KEY={_shown_key(stack)}"
    prefix = [] if data == DEFAULT_DATA else [f"export FITSTOP_URL={stack.url}", key]
    for line in ["In another terminal:", *prefix, *_COMMANDS]:
        screen.print(Text(line if line.endswith(":") else "  " + line))
    if stack.options.host not in {"127.0.0.1", "localhost", "::1"}:
        words = "Other machines can reach this address, over plain HTTP. Give each user a key: fitstop keys create."
        screen.print(literal(words, "yellow"))
    screen.print()
    screen.print(Text("Ctrl-C stops the service."), style="dim")


def _where_the_volume_is(stack: LocalStack) -> str:
    return f"the bucket {stack.volume}" if stack.options.bucket else stack.volume


def _how_programs_run(card: Json) -> str:
    """How the worker runs programs. FITSTOP_ALLOW_CODE is `boxed` unless the environment sets it."""
    programs = card.get("programs", "no")
    if programs == "boxed":
        return "run in a sandbox (FITSTOP_ALLOW_CODE=boxed): fitstop run train.py"
    if programs == "unboxed":
        return "run with all rights of this user (FITSTOP_ALLOW_CODE=unboxed)"
    return f"do not run: {card.get('no_programs') or 'the worker is too old'}"


def _where_the_key_is(stack: LocalStack) -> str:
    if os.environ.get("FITSTOP_ADMIN_KEY"):
        return "the one in FITSTOP_ADMIN_KEY"
    return f"{admin_key_file(stack.data)}, found by the commands"


def _shown_key(stack: LocalStack) -> str:
    """The key as a shell expression that reads it, never the key itself."""
    if os.environ.get("FITSTOP_ADMIN_KEY"):
        return '"$FITSTOP_ADMIN_KEY"'
    return f"$(cat {shlex.quote(str(admin_key_file(stack.data)))})"


_COMMANDS = ("fitstop open", "fitstop submit job.json --watch", "fitstop ps", "fitstop workers", "fitstop --help")


def _event(text: str) -> None:
    try:
        click.echo(f"{datetime.now().astimezone():%H:%M:%S}  {plain(text)}")
    except OSError:
        return  # the terminal is closed; the stack must still end


@contextmanager
def _report_errors(ctx: click.Context) -> Iterator[None]:
    try:
        yield
    except StackError as error:
        for line in f"fitstop: {error}".splitlines():
            hint(line)
        ctx.exit(ExitCode.USAGE)
    except NotReady as error:
        fail(ctx, str(error), ExitCode.SERVER_ERROR)
    except GaveUp as error:
        hint(f"fitstop: {error}")
        for line in error.last_lines:
            hint(f"  {line}")
        ctx.exit(ExitCode.SERVER_ERROR)


@contextmanager
def _signals_interrupt() -> Iterator[None]:
    """Treat SIGTERM and SIGHUP as Ctrl-C inside the block."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Any] = {one: signal.signal(one, interrupt) for one in (signal.SIGTERM, signal.SIGHUP)}
    # A shell starts background processes with SIGINT ignored.
    before[signal.SIGINT] = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@click.command(epilog=examples("fitstop demo images", "fitstop demo --data-file customers.csv"))
@click.argument("subject", metavar="[images]", type=click.Choice(["images"]), required=False)
@click.option(
    "--data-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV or Parquet file. Default: the wine data from UCI, or scikit-learn's breast-cancer data without internet.",
)
@data_option
@bucket_option
@click.option("--set", "assignments", multiple=True, hidden=True)
@click.pass_context
def demo(  # noqa: PLR0913, PLR0917  one for each option
    ctx: click.Context,
    subject: str | None,
    data_file: Path | None,
    data: Path,
    bucket: str,
    assignments: tuple[str, ...],
) -> None:
    """Run an example job from start to finish.

    Uploads the wine data, trains until early stopping, and prints a summary. With `images` it trains a convolutional
    network on scikit-learn's digits instead, without internet. Uses the service that runs on the data folder, or starts
    one until the job has finished. The exit status is 0 only if the job succeeded.
    """
    if subject and data_file:
        raise click.UsageError("give either images or --data-file")
    find = partial(_find_demo_data, subject, data_file, data)
    with _report_errors(ctx), _signals_interrupt():
        running = running_stack(data)
        if running is not None:
            hint(f"Using the service at {running.url}.")
            job = _demo_on(running, find, data, list(assignments))
            hint("")
            code = _hint_at_next(job)
        else:
            code = _demo_alone(find, data, bucket, list(assignments))
    ctx.exit(code)


def _find_demo_data(subject: str | None, data_file: Path | None, data: Path) -> DemoData:
    return find_images(data.resolve()) if subject == "images" else find_data(data_file, data.resolve())


def _demo_alone(find: Callable[[], DemoData], data: Path, bucket: str, assignments: list[str]) -> ExitCode:
    again = "fitstop up" if data == DEFAULT_DATA else f"fitstop up --data {shlex.quote(str(data))}"
    again += f" --volume {shlex.quote(bucket)}" if bucket else ""
    with LocalStack(StackOptions(data, has_redis=wants_redis(), bucket=bucket), hint) as stack:
        try:
            card = _start(stack)
            if reason := card.get("unfit") or card.get("paused"):
                raise NotReady(f"the worker takes no jobs: {reason}")
            for line in idle_gpu_lines(card):
                console(err=True).print(literal(line, "bold red"), soft_wrap=True)
            job = _demo_on(stack.connection, find, data, assignments)
        except KeyboardInterrupt:
            hint("")
            hint(f"Stopping the service. A running job saves its state and resumes with: {again}")
            return ExitCode.INTERRUPTED
    hint("")
    hint(f"The service has stopped. Its data stays in {data}. Start it again with")
    hint(f"  {again}")
    hint("and in another terminal:")
    return _hint_at_next(job)


def _demo_on(connection: Connection, find: Callable[[], DemoData], data: Path, assignments: list[str]) -> Json:
    with Client(connection) as client:
        volume = data.resolve() / "volume"
        return run_demo(client, find(), volume if volume.is_dir() else None, assignments)


def _hint_at_next(job: Json) -> ExitCode:
    for command in ("show", "log", "download", "bundle"):
        hint(f"  fitstop {command} {job['id']}")
    return ExitCode.OK if job["status"] == "succeeded" else ExitCode.JOB_FAILED
