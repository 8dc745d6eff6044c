"""`fitstop evaluation`: how good the best model of a job is."""

import click

from fitstop.cli.base import open_client, output_option
from fitstop.cli.completion import job_argument
from fitstop.cli.job_ids import find_job_id
from fitstop.terminal.evaluation import print_evaluation
from fitstop.terminal.output import print_json


@click.command()
@job_argument
@output_option
@click.pass_context
def evaluation(ctx: click.Context, job: str, output: str) -> None:
    """Show how good a job's best model is on rows that did not train it.

    For classes: the confusion matrix, precision, recall and support of each class, and the worst mistakes. For numbers:
    the residuals and the largest errors. It is computed once, after the last epoch. `dataset.test_fraction` reserves a
    test part, which is not used to train or choose the model.
    """
    client = open_client(ctx)
    document = client.evaluation(find_job_id(client, job))
    if output == "json":
        print_json(document)
    else:
        print_evaluation(document)
