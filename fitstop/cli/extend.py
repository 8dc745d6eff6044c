"""extend: continue a finished job as a new job."""

import click

from fitstop.cli.base import examples, open_client, output_option
from fitstop.cli.completion import job_argument
from fitstop.cli.job_ids import find_job_id
from fitstop.cli.jobs import print_submitted
from fitstop.client import Json


@click.command(
    epilog=examples(
        "fitstop extend JOB --patience 20", "fitstop extend JOB --epochs 2000 --max-gpu-seconds 600 --watch"
    )
)
@job_argument
@click.option("--epochs", type=click.IntRange(1), help="Max epochs in total; must exceed the epochs already trained.")
@click.option("--patience", type=click.IntRange(1), help="Epochs without improvement before early stopping.")
@click.option(
    "--max-gpu-seconds",
    type=click.FloatRange(0, min_open=True),
    help="Max compute time of the new job alone, in seconds.",
)
@click.option("--max-cost", type=click.FloatRange(0, min_open=True), help="Max cost of the new job alone.")
@click.option("--deadline", metavar="TIME", help="Latest end of the new job, such as 2027-01-31T06:00:00Z.")
@click.option("--no-budget", is_flag=True, help="Remove the budget that the job had.")
@click.option(
    "--from",
    "start",
    type=click.Choice(["last", "best"]),
    default="last",
    show_default=True,
    help="Start from its last resume point (exact) or from its best model.",
)
@click.option("--watch", "watching", is_flag=True, help="Watch the job; Ctrl-C leaves it running.")
@output_option
@click.pass_context
def extend(  # noqa: PLR0913, PLR0917  one for each option
    ctx: click.Context,
    job: str,
    epochs: int | None,
    patience: int | None,
    max_gpu_seconds: float | None,
    max_cost: float | None,
    deadline: str | None,
    no_budget: bool,  # noqa: FBT001
    start: str,
    watching: bool,  # noqa: FBT001
    output: str,
) -> None:
    """Continue a finished job as a new job.

    Prints the id of the new job. Settings without an option here stay as they were. The finished job does not change.
    """
    limits = {"max_gpu_seconds": max_gpu_seconds, "max_cost": max_cost, "deadline": deadline}
    budget = {name: value for name, value in limits.items() if value is not None}
    if no_budget and budget:
        raise click.UsageError("--no-budget cannot be combined with --max-gpu-seconds, --max-cost or --deadline")
    changes: Json = {"from": start}
    if epochs is not None:
        changes["epochs"] = epochs
    if patience is not None:
        changes["early_stopping"] = {"patience": patience}
    if budget or no_budget:
        changes["budget"] = budget or None
    client = open_client(ctx)
    print_submitted(ctx, client.extend(find_job_id(client, job), changes), output, watching=watching)
