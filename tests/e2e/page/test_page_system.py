"""The system metrics of a job, on its page."""

import math
import re

import pytest

from shared.job import AttemptEnd
from shared.system_metrics import Sample
from shared.times import utc_now
from tests.e2e.page.past_jobs import finished_job
from tests.support.browser import PHONE, serious_faults
from tests.support.jobs import claim, put_job, small_spec
from tests.support.system import GPU, leave_system, seconds_of, train_for
from worker.supervisor.system_sampler import SystemFile

WIDE = (1920, 1080)


def on_a_gpu(count):
    """Yield samples of a GPU that waits for its data."""
    for at in range(1, count + 1):
        wave = math.sin(at / 9)
        yield Sample(
            at=float(at), seconds=1.0, cpu_cores=7.6 + wave / 5, memory_bytes=11e9, disk_read=4e6, disk_written=1e5,
            gpu_percent=31 + 12 * wave, gpu_memory_bytes=61e9, gpu_watts=240 + 60 * wave,
            gpu_celsius=51 + 4 * wave,
        )  # fmt: skip


@pytest.fixture
def running(still):
    """A job whose first attempt was lost, and whose second one trains on a GPU."""
    job = put_job(still.api.volume, small_spec(name="waits for data"))
    first = claim(job, 1)
    leave_system(first, seconds_of(60, cpu_cores=1.0, memory_bytes=2e9))
    first.close(AttemptEnd(outcome="lost", ended_at=utc_now()))
    second = claim(job, 2)
    train_for(second, 180, each=2.0)
    leave_system(second, on_a_gpu(180), GPU)
    return job


@pytest.mark.parametrize(("size", "theme"), [(PHONE, "light"), (WIDE, "dark")])
def test_a_job_on_a_gpu_has_a_chart_of_each_value_and_says_that_it_waited_for_data(still, running, size, theme):
    with still.page(size=size, theme=theme) as page:
        page.goto(f"/page/jobs/{running.id}")
        part = page.get_by_role("region", name="System", exact=True)
        part.get_by_text("The GPU waited for data").wait_for()
        assert part.locator("h3").all_inner_texts() == [
            "GPU utilization, %", "GPU memory, GB", "GPU power, W", "GPU temperature, °C", "CPU, cores", "Memory, GB",
            "Disk, MB/s",
        ]  # fmt: skip
        part.get_by_role("img", name=re.compile(r"^Chart\. last 61, maximum 61$")).wait_for()
        assert part.locator("#system-machine").inner_text() == "NVIDIA H200 with 141 GB, 8 CPU cores, 64 GB of memory"
        part.get_by_text("resumed in another attempt").wait_for()
        page.locator("#explanation", has_text="The GPU waited for data").wait_for()
        part.get_by_role("button", name="Table of CPU, cores").click()
        assert part.locator(".chart-table th[scope=row]").first.inner_text() == "1 s"
        with page.expect_download() as download:
            part.get_by_role("button", name="CSV of CPU, cores").click()
        assert download.value.path().read_text().startswith("seconds,used\n1,1\n2,1\n")
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        assert serious_faults(page) == []


def test_the_charts_go_on_while_the_job_runs(still, running):
    file = SystemFile(running.attempts()[1].system_file, GPU)
    with still.page() as page:
        page.goto(f"/page/jobs/{running.id}")
        page.get_by_role("img", name=re.compile(r"^Chart\. last 61,")).wait_for()
        for sample in [*on_a_gpu(180), *seconds_of(1, 181, gpu_memory_bytes=77e9, cpu_cores=0.5)]:
            file.append(sample)
        page.get_by_role("img", name=re.compile(r"^Chart\. last 77, maximum 77$")).wait_for()
        page.get_by_role("img", name=re.compile(r"^Chart\. last 0\.5, maximum 7\.")).wait_for()


def test_a_job_without_metrics_shows_none(still):
    job = finished_job(still.api.volume, 4, 0.8)
    with still.page() as page:
        page.goto(f"/page/jobs/{job.id}")
        page.locator("#status", has_text="Succeeded").wait_for()
        assert page.locator("#system").is_hidden()
