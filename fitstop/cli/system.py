"""`fitstop system`: a job's use of its machine."""

import click

from fitstop.cli.base import open_client, output_option
from fitstop.cli.completion import job_argument
from fitstop.cli.job_ids import find_job_id
from fitstop.terminal.output import hint, print_json
from fitstop.terminal.system import print_system


@click.command()
@job_argument
@output_option
@click.pass_context
def system(ctx: click.Context, job: str, output: str) -> None:
    """Show how a job used its machine, and what the training waited for.

    CPU, memory and disk are those of the training process. Utilization, memory, power and temperature of the GPU are
    those of the device.
    """
    client = open_client(ctx)
    document = client.system(find_job_id(client, job))
    if output == "json":
        print_json(document)
    elif document["data"]:
        print_system(document)
    else:
        hint("No system metrics: the job has not started, or an earlier version of Fitstop ran it.")
