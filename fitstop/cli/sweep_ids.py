"""Sweeps by a part of their id, its beginning or end, or by name."""

from contextlib import suppress

import click

from fitstop.cli.job_ids import NEWEST, find_job_id, matches
from fitstop.client import Client
from fitstop.errors import NotFound, Problem

PREFIX = "sweep_"
_WHOLE_LENGTH = len(PREFIX) + 26


def find_sweep_id(client: Client, text: str) -> str:
    """The id that `text` means. A complete id is returned as it is; a part is searched in the newest 100 sweeps.

    What is no part of an id is the name of a sweep. Raises NotFound where no sweep has it, and click's usage error
    where several have.
    """
    if text.startswith(PREFIX) and len(text) == _WHOLE_LENGTH:
        return text
    newest = client.sweeps(limit=NEWEST)["data"]
    found = matches(text, [one["id"] for one in newest], PREFIX) or [one["id"] for one in newest if one["name"] == text]
    if not found:
        detail = f'none of the newest {NEWEST} sweeps has the name "{text}", or an id that begins or ends with it'
        raise NotFound(Problem(404, "Not found", detail, "not_found"))
    if len(found) > 1:
        raise click.UsageError(f'"{text}" matches {len(found)} sweeps: {", ".join(found[:5])}')
    return found[0]


def find_job_or_sweep(client: Client, text: str) -> str:
    """The id of the job that `text` means, else of the sweep; of the sweep first where it begins with `sweep_`.

    Raises NotFound where there is neither, and click's usage error where there are several.
    """
    if is_sweep(text):
        with suppress(NotFound):
            return find_sweep_id(client, text)
        return find_job_id(client, text)
    try:
        return find_job_id(client, text)
    except NotFound:
        with suppress(NotFound):
            return find_sweep_id(client, text)
        raise


def is_sweep(found: str) -> bool:
    """Whether an id is that of a sweep and not of a job."""
    return found.startswith(PREFIX)
