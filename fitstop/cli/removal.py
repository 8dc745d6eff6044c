"""Finds the jobs that depend on something to delete, and asks for confirmation."""

import sys
from collections.abc import Callable
from itertools import islice

import click

from fitstop.client import Client, Json
from fitstop.terminal.output import plain

NEWEST = 1000
_MOST_NAMED = 5

yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask, even if jobs depend on it.")


def find_jobs(client: Client, depends: Callable[[Json], bool]) -> list[str]:
    """The ids of the jobs, among the newest 1,000, for which `depends` is true, newest first."""
    return [job["id"] for job in islice(client.all_jobs(), NEWEST) if depends(job)]


def reads_dataset(dataset_id: str) -> Callable[[Json], bool]:
    """Whether a job trains on a dataset, or its script names it."""

    def depends(job: Json) -> bool:
        return _part(job, "dataset").get("id") == dataset_id or dataset_id in _part(job, "program").get("datasets", [])

    return depends


def loads_weights(weights_id: str) -> Callable[[Json], bool]:
    """Whether a job's model starts from these uploaded weights."""
    return lambda job: _part(job, "model").get("weights") == weights_id


def runs_program(program_id: str) -> Callable[[Json], bool]:
    """Whether a job runs a version of that program."""
    return lambda job: _part(job, "program").get("id") == program_id


def _part(job: Json, name: str) -> Json:
    part: Json = (job.get("spec") or {}).get(name) or {}
    return part


def starts_from(job_id: str) -> Callable[[Json], bool]:
    """Whether a job extends that job, or fine-tunes its model."""

    def depends(job: Json) -> bool:
        return job.get("extends") == job_id or job_id in {one["job"] for one in job.get("lineage") or []}

    return depends


def _can_ask() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def confirm(what: str, users: list[str], consequence: str, *, yes: bool) -> bool:
    """Whether to remove `what`. Asks if there are `users`; raises a usage error if there is no terminal to ask on."""
    if yes or not users:
        return True
    listed = ", ".join(users[:_MOST_NAMED]) + (f" and {len(users) - _MOST_NAMED} more" * (len(users) > _MOST_NAMED))
    question = f"{len(users)} job{'s'[: len(users) > 1]} {consequence}: {listed}."
    if not _can_ask():
        raise click.UsageError(f"{plain(what)} was not deleted: {question} --yes deletes it.")
    click.echo(question, err=True)
    return click.confirm(f"Delete {plain(what)}?", err=True)
