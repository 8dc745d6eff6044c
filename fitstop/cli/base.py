"""Common parts of the commands: the service, `-o json`, and exit statuses of errors."""

import sys
from typing import Any, NoReturn

import click

from fitstop.cli.exit_codes import ExitCode, exit_code
from fitstop.client import Client
from fitstop.connection import Connection, find_connection
from fitstop.errors import ClientError
from fitstop.terminal.output import hint, plain, print_error

# Errors of an answer that lacks a field or has another type. Answers are not validated field by field, so that the
# command understands a service of a later version.
_UNFORESEEN = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)
_HELP = "Are the command and the service of the same version? PYTHONDEVMODE=1 shows where it failed."

output_option = click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table", help="Output format."
)


def as_written(text: str) -> str:
    """`text` for a command's help without click's wrapping: a paragraph that begins with U+0008."""
    return f"\b\n{text}"


def examples(*lines: str) -> str:
    """The `epilog` of a command, with examples."""
    return as_written("\n".join(["Examples:", *(f"  {line}" for line in lines)]))


class FitstopGroup(click.Group):
    """A group of commands in the order in which they were added. Errors are printed, and give the exit status."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """The commands in the order in which they were added."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except ClientError as error:
            print_error(error)
            ctx.exit(exit_code(error))
        except _UNFORESEEN as error:
            # The edge of the process. Python's development mode shows the traceback.
            if sys.flags.dev_mode:
                raise
            fail(ctx, f"{_describe(error)}\n  {_HELP}", ExitCode.SERVER_ERROR)


def _describe(error: Exception) -> str:
    """One line about an unexpected answer."""
    reason = f"no {error}" if isinstance(error, KeyError) else f"{type(error).__name__}: {error}"
    return f"the answer of the service was not as expected ({' '.join(reason.split())[:200]})"


def connection(ctx: click.Context) -> Connection:
    """The service that this command uses."""
    try:
        asked = ctx.find_root().params
        return find_connection(asked.get("url"), context=asked.get("context"))
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def open_client(ctx: click.Context) -> Client:
    """A client of that service, closed when the command ends."""
    client = Client(connection(ctx))
    client.on_volume_away = lambda words: hint(plain(f"warning: {words}"))
    ctx.call_on_close(client.close)
    return client


def fail(ctx: click.Context, message: str, code: ExitCode = ExitCode.USAGE) -> NoReturn:
    """End the command with an error message."""
    hint(f"fitstop: {message}")
    ctx.exit(code)
