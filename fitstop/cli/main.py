"""The command `fitstop`."""

import sys
from importlib.metadata import version

import click

from fitstop.cli.annotate import note, tag
from fitstop.cli.background import down
from fitstop.cli.base import FitstopGroup, as_written
from fitstop.cli.completion import completion
from fitstop.cli.contexts import context as context_group
from fitstop.cli.contexts import login
from fitstop.cli.doctor import doctor
from fitstop.cli.evaluation import evaluation
from fitstop.cli.exit_codes import MEANINGS, ExitCode
from fitstop.cli.export import export
from fitstop.cli.extend import extend
from fitstop.cli.files import bundle, datasets, download
from fitstop.cli.insight import explain, patience, replay, usage
from fitstop.cli.jobs import cancel, events, log, retry, rm, show, submit, watch_command
from fitstop.cli.keys import keys
from fitstop.cli.local import demo, up
from fitstop.cli.logs import logs
from fitstop.cli.models import models
from fitstop.cli.plot import plot
from fitstop.cli.programs import programs
from fitstop.cli.ps import ps
from fitstop.cli.run import run as run_command
from fitstop.cli.service import config, open_page, queue, workers
from fitstop.cli.share import share
from fitstop.cli.sweeps import sweep, sweeps, trials
from fitstop.cli.system import system
from fitstop.cli.volume import volume
from fitstop.cli.webhooks import webhooks
from fitstop.terminal.output import discard_stdout, open_streams

_EXIT_STATUSES = "\n".join(["Exit status:", *(f"  {code.value:3}  {meaning}" for code, meaning in MEANINGS.items())])


@click.group(
    cls=FitstopGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=as_written(_EXIT_STATUSES),
)
@click.option(
    "--url",
    metavar="URL",
    help="Service address. Default: FITSTOP_URL, the service of `fitstop up` in this folder, the current context.",
)
@click.option("--context", metavar="NAME", help="Use the service of this context; see `fitstop login`.")
@click.version_option(version("fitstop"), prog_name="fitstop")
def main(url: str | None, context: str | None) -> None:
    """Train Keras models as jobs in a queue, with early stopping.

    Name a job or a sweep by its name, its id, or the beginning or end of its id where that is unique. Data goes to
    stdout, messages go to stderr. NO_COLOR switches colours off.
    """


_RUN = (
    up,
    down,
    demo,
    run_command,
    submit,
    sweep,
    ps,
    sweeps,
    trials,
    show,
    watch_command,
    events,
    logs,
    log,
    cancel,
    retry,
    extend,
    tag,
    note,
    share,
    rm,
    download,
    bundle,
)
_UNDERSTAND = (evaluation, system, explain, replay, patience, usage, plot, export)
_SERVE = (open_page, datasets, models, programs, keys, webhooks, workers, queue)
_HERE = (login, context_group, config, doctor, volume, completion)

for command in (*_RUN, *_UNDERSTAND, *_SERVE, *_HERE):
    main.add_command(command)


def run() -> None:
    """Run the command `fitstop` on streams that accept every character and may be closed, full or broken."""
    open_streams()
    try:
        try:
            main(prog_name="fitstop")
        finally:
            sys.stdout.flush()
    except OSError as error:
        # The edge of the process: drop unwritten output, so that Python does not write it again when it exits.
        discard_stdout()
        if not isinstance(error, BrokenPipeError):
            name = f"{error.filename}: " if error.filename else ""
            sys.stderr.write(f"fitstop: {name}{error.strerror or error}\n")
        sys.exit(ExitCode.BROKEN_FILE)


if __name__ == "__main__":
    run()
