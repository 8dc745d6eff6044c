"""Finds a job by its name, its id, or the beginning (with or without `job_`) or end of its id."""

import re

import click

from fitstop.client import Client
from fitstop.errors import NotFound, Problem

_WHOLE = re.compile(r"job_[0-9A-HJKMNP-TV-Z]{26}")
NEWEST = 100


def find_job_id(client: Client, text: str) -> str:
    """The id of the job that `text` names. A complete id is returned; a part is searched in the newest 100 jobs.

    If no id has that part, `text` is the name of a job. Raises NotFound if no job matches, and click's usage error if
    several do.
    """
    if _WHOLE.fullmatch(text):
        return text
    found = matches(text, [job["id"] for job in client.jobs(limit=NEWEST)["data"]])
    if not found:
        found = [job["id"] for job in client.jobs(limit=NEWEST, name=text)["data"] if job["name"] == text]
    if not found:
        detail = (
            f'no job has the name "{text}", and none of the newest {NEWEST} jobs has an id that begins or ends with it'
        )
        raise NotFound(Problem(404, "Not found", detail, "not_found"))
    if len(found) > 1:
        raise click.UsageError(f'"{text}" matches {len(found)} jobs: {", ".join(found[:5])}')
    return found[0]


def matches(text: str, ids: list[str], prefix: str = "job_") -> list[str]:
    """The ids that begin or end with `text`, in any case; only that id if one is equal to `text`.

    `text` may also be an id as a narrow terminal shows it, `job_01K8…9XQZ`: then both ends must match.
    """
    part = text.casefold()
    if not part:
        return []
    begin, cut, end = part.partition("…")
    if cut:
        return [one for one in ids if one.casefold().startswith(begin) and one.casefold().endswith(end)]
    folded = {one: one.casefold() for one in ids}
    same = [one for one in ids if part in {folded[one], folded[one].removeprefix(prefix)}]
    if same:
        return same[:1]
    return [
        one
        for one in ids
        if folded[one].startswith(part)
        or folded[one].removeprefix(prefix).startswith(part)
        or folded[one].endswith(part)
    ]
