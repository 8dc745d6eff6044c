"""`fitstop plot`: the curves of jobs, in the terminal or as a picture."""

import shutil
from pathlib import Path

import click

from fitstop.cli.base import examples, fail, open_client
from fitstop.cli.completion import jobs_argument
from fitstop.cli.job_ids import find_job_id
from fitstop.client import Client, Json
from fitstop.terminal.charts import PICTURES, Canvas, Curve, NoCharts, caption, marks, save_picture, text_chart
from fitstop.terminal.output import console, plain

_MOST_JOBS = 20
_HEIGHT = 20
_MOST_WIDTH = 120


@click.command(epilog=examples("fitstop plot JOB", "fitstop plot JOB OTHER --metric val_loss -o curves.png"))
@jobs_argument
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="Metric to draw. Default: the monitored one.")
@click.option(
    "-o", "--output", "to", type=click.Path(dir_okay=False, path_type=Path), help="Write this .png or .svg file."
)
@click.option("--force", is_flag=True, help="Replace a file that exists.")
@click.pass_context
def plot(ctx: click.Context, jobs: tuple[str, ...], metrics: tuple[str, ...], to: Path | None, force: bool) -> None:  # noqa: FBT001
    """Plot the curves of one or more jobs.

    A single job shows training and validation. -o FILE.png or FILE.svg writes a picture.
    """
    if len(jobs) > _MOST_JOBS:
        raise click.UsageError(f"{len(jobs)} jobs; the maximum is {_MOST_JOBS}")
    if to is not None and (to.suffix not in PICTURES or not to.parent.is_dir()):
        raise click.UsageError(f"{to}: expected a name that ends with .png or .svg, in a folder that exists")
    if to is not None and to.exists() and not force:
        raise click.UsageError(f"{to} exists already; --force replaces it")
    client = open_client(ctx)
    panels = _panels(client, [client.job(find_job_id(client, job)) for job in jobs], metrics)
    try:
        if to is not None:
            save_picture(panels, to)
            click.echo(str(to))
        else:
            _print(panels)
    except NoCharts as error:
        fail(ctx, f"{error} is not installed here; install fitstop[plot]")


def _panels(client: Client, jobs: list[Json], metrics: tuple[str, ...]) -> list[tuple[str, list[Curve]]]:
    """For each metric its title and a curve for each job. Default metric: the one that the first job monitors."""
    rows = [list(client.all_epochs(job["id"])) for job in jobs]
    known = sorted({name for each in rows for row in each for name in row["metrics"]})
    if not known:
        raise click.UsageError("none of these jobs has finished an epoch")
    unknown = [name for name in metrics if name not in known]
    if unknown:
        raise click.UsageError(f"no metric {', '.join(unknown)}; metrics: {', '.join(known)}")
    chosen = list(metrics) or [_choose_metric(jobs[0], known)]
    if len(jobs) == 1:
        name = str(jobs[0].get("name") or jobs[0]["id"])
        return [(f"{name}: {metric}", _beside_training(jobs[0], rows[0], metric, known)) for metric in chosen]
    return [
        (metric, [_curve(_label(job), job, each, metric) for job, each in zip(jobs, rows, strict=True)])
        for metric in chosen
    ]


def _choose_metric(job: Json, known: list[str]) -> str:
    callbacks = (job.get("spec") or {}).get("callbacks") or {}
    for name in ("early_stopping", "model_checkpoint"):
        monitor = (callbacks.get(name) or {}).get("monitor")
        if monitor in known:
            return str(monitor)
    return "val_loss" if "val_loss" in known else known[0]


def _beside_training(job: Json, rows: list[Json], metric: str, known: list[str]) -> list[Curve]:
    curves = [_curve(metric, job, rows, metric)]
    training = metric.removeprefix("val_")
    if training != metric and training in known:
        curves.append(_curve(training, job, rows, training))
    return curves


def _curve(label: str, job: Json, rows: list[Json], metric: str) -> Curve:
    best = (job.get("progress") or {}).get("best") or {}
    epochs = [row["epoch"] for row in rows]
    values = [row["metrics"].get(metric) for row in rows]
    return Curve(label, epochs, values, best.get("epoch") if best.get("monitor") == metric else None)


def _label(job: Json) -> str:
    """A job's name, and the end of its id, because names are not unique."""
    name = job.get("name")
    return f"{name} {job['id'][-4:]}" if name else str(job["id"])


def _print(panels: list[tuple[str, list[Curve]]]) -> None:
    screen = console()
    width = min(screen.width, _MOST_WIDTH) if screen.is_terminal else shutil.get_terminal_size((100, 24)).columns
    colour = screen.is_terminal and screen.color_system is not None
    canvas = Canvas(max(40, width), _HEIGHT, colour=colour, utf8="utf" in screen.encoding.lower())
    for title, curves in panels:
        chart = text_chart(title, curves, canvas)
        click.echo("\n".join(line.rstrip() for line in chart.splitlines()), color=colour)
        for mark, curve in zip(marks(len(curves), utf8=canvas.utf8), curves, strict=True):
            click.echo(f"  {mark} {plain(caption(curve))}")
