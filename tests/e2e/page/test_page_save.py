"""Saving a job's charts as PNG and its tables as CSV, in a real browser."""

import csv
import io

import numpy as np
from PIL import Image

from tests.e2e.page.past_jobs import interrupted_job
from tests.support.evaluations import classified, leave_evaluation
from tests.support.system import leave_system, seconds_of


def saved(page, button):
    """Press a button that saves a file, and return the name and the bytes of the file."""
    with page.expect_download() as download:
        page.get_by_role("button", name=button, exact=True).press("Enter")
    return download.value.suggested_filename, download.value.path().read_bytes()


def table(content):
    return list(csv.reader(io.StringIO(content.decode("utf-8"), newline="")))


def test_the_tables_of_a_job_are_saved_with_their_exact_values(still):
    job = interrupted_job(still.api.volume)
    leave_evaluation(
        job.attempts()[-1], "binary", classified(("=A1", 'b,"c"'), [0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    )
    epochs = still.api.ask("GET", f"/jobs/{job.id}/epochs").json["data"]
    ledger = still.api.ask("GET", f"/jobs/{job.id}").json["ledger"]
    with still.page() as page:
        page.goto(f"/page/jobs/{job.id}")
        page.locator(".chart-caption", has_text="at epoch 24").first.wait_for()
        name, content = saved(page, "CSV of all epochs")
        assert name == f"{job.id}-epochs.csv"
        head, *rows = table(content)
        assert head == ["epoch", "seconds", "learning_rate", *epochs[0]["metrics"]]
        assert [float(one) for one in rows[8]] == [
            epochs[8]["epoch"], epochs[8]["seconds"], epochs[8]["learning_rate"], *epochs[8]["metrics"].values()
        ]  # fmt: skip
        assert len(rows) == 24
        head, *rows = table(saved(page, "CSV of accuracy")[1])
        assert (head, len(rows)) == (["epoch", "accuracy", "val_accuracy"], 24)
        parts = {row[0]: float(row[1]) for row in table(saved(page, "CSV of the compute time")[1])[1:]}
        assert parts["total"] == ledger["gpu_seconds"]["total"]
        assert parts["avoided"] == ledger["avoided"]["gpu_seconds"]
        rows = table(saved(page, "CSV of confusion matrix of the validation part")[1])
        assert rows == [["true", "'=A1", 'b,"c"'], ["'=A1", "1", "0"], ['b,"c"', "1", "1"]], "no text is a formula"


def test_the_table_of_a_chart_over_time_has_its_seconds(still):
    job = interrupted_job(still.api.volume)
    leave_system(job.attempts()[-1], seconds_of(30, cpu_cores=1.5))
    with still.page() as page:
        page.goto(f"/page/jobs/{job.id}")
        page.get_by_role("button", name="CSV of CPU, cores").wait_for()
        head, *rows = table(saved(page, "CSV of CPU, cores")[1])
        assert head == ["seconds", "used"]
        assert [float(one) for one in rows[4]] == [5, 1.5]


def test_a_chart_is_saved_as_a_picture_in_the_theme_that_is_shown(still):
    job = interrupted_job(still.api.volume)
    with still.page(theme="dark") as page:
        page.goto(f"/page/jobs/{job.id}")
        page.locator("#great-chart canvas").wait_for()
        name, content = saved(page, "PNG of accuracy")
        assert name == f"{job.id}-accuracy.png"
        with Image.open(io.BytesIO(content)) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        assert pixels[0, 0].max() < 60, "the ground is dark"
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50, "curves and words are on it"
