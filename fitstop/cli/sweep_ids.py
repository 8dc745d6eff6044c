"""Finds a sweep by its name, its id, or the beginning or end of its id."""

from contextlib import suppress

import click

from fitstop.cli.job_ids import NEWEST, find_job_id, matches
from fitstop.client import Client
from fitstop.errors import NotFound, Problem

PREFIX = "sweep_"
_WHOLE_LENGTH = len(PREFIX) + 26


def find_sweep_id(client: Client, text: str) -> str:
    """The id of the sweep that `text` names. A complete id is returned; a part is searched in the newest 100 sweeps.

    If no id has that part, `text` is the name of a sweep. Raises NotFound if no sweep matches, and click's usage error
    if several do.
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
    """The id of the job that `text` names, else of the sweep; a text with `sweep_` is searched in the sweeps first.

    Raises NotFound if neither exists, and click's usage error if several match.
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
