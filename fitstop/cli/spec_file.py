"""The spec that a command submits: a file or stdin, and the values of --set."""

from pathlib import Path
from typing import Any

import click

from fitstop.client import Json
from fitstop.set_options import assign
from fitstop.spec_file import read_spec


def read_assigned(file: Any, assignments: tuple[str, ...]) -> Json:
    """The spec in an open file (empty without one), with the values of --set. Raises click's usage error."""
    try:
        spec = read_spec(file.read(), Path(getattr(file, "name", "-")).name) if file is not None else {}
        return assign(spec, list(assignments))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
