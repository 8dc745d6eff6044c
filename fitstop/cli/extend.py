"""extend: continue a finished job as a new job, or a sweep with more trials or budget."""

import click

from fitstop.cli.base import examples, open_client, output_option
from fitstop.cli.completion import job_or_sweep_argument
from fitstop.cli.submitted import print_submitted
from fitstop.cli.sweep_ids import find_job_or_sweep, is_sweep
from fitstop.client import Json


@click.command(
    epilog=examples(
        "fitstop extend JOB --patience 20",
        "fitstop extend JOB --epochs 2000 --max-gpu-seconds 600 --watch",
        "fitstop extend SWEEP --trials 60 --max-gpu-seconds 7200",
    )
)
@job_or_sweep_argument
@click.option("--epochs", type=click.IntRange(1), help="Max epochs in total; must exceed the epochs already trained.")
@click.option("--patience", type=click.IntRange(1), help="Epochs without improvement before early stopping.")
@click.option("--trials", type=click.IntRange(1), help="Max trials of the sweep in total.")
@click.option(
    "--max-gpu-seconds",
    type=click.FloatRange(0, min_open=True),
    help="Max compute time of the new job, or of the whole sweep, in seconds.",
)
@click.option(
    "--max-cost", type=click.FloatRange(0, min_open=True), help="Max cost of the new job, or of the whole sweep."
)
@click.option("--deadline", metavar="TIME", help="Latest end, such as 2027-01-31T06:00:00Z.")
@click.option("--no-budget", is_flag=True, help="Remove the budget.")
@click.option(
    "--from",
    "start",
    type=click.Choice(["last", "best"]),
    help="Start from its last resume point (exact, the default) or from its best model.",
)
@click.option("--watch", "watching", is_flag=True, help="Watch it; Ctrl-C leaves it running.")
@output_option
@click.pass_context
def extend(  # noqa: PLR0913, PLR0917  one for each option
    ctx: click.Context,
    job: str,
    epochs: int | None,
    patience: int | None,
    trials: int | None,
    max_gpu_seconds: float | None,
    max_cost: float | None,
    deadline: str | None,
    no_budget: bool,  # noqa: FBT001
    start: str | None,
    watching: bool,  # noqa: FBT001
    output: str,
) -> None:
    """Continue a finished job as a new job, or a sweep with more trials or budget.

    For a job it prints the id of the new one; other settings are kept, and the finished job does not change. A sweep
    keeps its id: the values are its new totals, and a finished sweep runs again.
    """
    limits = {"max_gpu_seconds": max_gpu_seconds, "max_cost": max_cost, "deadline": deadline}
    budget = {name: value for name, value in limits.items() if value is not None}
    if no_budget and budget:
        raise click.UsageError("--no-budget cannot be combined with --max-gpu-seconds, --max-cost or --deadline")
    changes: Json = {"budget": budget or None} if budget or no_budget else {}
    client = open_client(ctx)
    found = find_job_or_sweep(client, job)
    if is_sweep(found):
        _refuse("a sweep", {"--epochs": epochs, "--patience": patience, "--from": start})
        if trials is not None:
            changes["trials"] = trials
        print_submitted(ctx, client, client.extend_sweep(found, changes), output, watching=watching)
        return
    _refuse("a job", {"--trials": trials})
    changes["from"] = start or "last"
    if epochs is not None:
        changes["epochs"] = epochs
    if patience is not None:
        changes["early_stopping"] = {"patience": patience}
    print_submitted(ctx, client, client.extend(found, changes), output, watching=watching)


def _refuse(what: str, options: dict[str, int | str | None]) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise click.UsageError(f"{what} cannot be extended with {' or '.join(given)}")
