"""The table of jobs in a real browser."""

import statistics

from shared.job import Ending, Stop
from shared.volume import OpenJob
from tests.support.epochs import epoch, tell
from tests.support.jobs import claim, put_job, small_spec

EVIL = "<img src=x onerror=\"document.title='taken over'\">"


def running(volume, epochs=20, **parts):
    job = put_job(volume, small_spec(**parts, hyperparameters={"epochs": 1000}))
    attempt = claim(job)
    tell(attempt, *(epoch(number, 0.5 + 0.001 * number) for number in range(1, epochs + 1)))
    return job, attempt


def row(page, job):
    return page.locator(f'tr[data-job="{job.id}"]')


def test_the_table_follows_a_job_through_its_life(empty):
    volume = empty.api.volume
    with empty.page() as page:
        page.goto("/")
        page.get_by_text("No jobs yet").wait_for()
        page.get_by_text("fitstop datasets put").wait_for()
        job = put_job(volume, small_spec(hyperparameters={"epochs": 1000}))
        row(page, job).get_by_text("place 1 in the queue").wait_for()
        attempt = claim(job)
        tell(attempt, *(epoch(number, 0.5 + 0.01 * number) for number in range(1, 21)), epoch(21, 0.7, wait=1))
        row(page, job).get_by_text("epoch 21").wait_for()
        row(page, job).get_by_text("stops ≈").wait_for()
        row(page, job).get_by_text("1 of 10").wait_for()
        assert row(page, job).locator(".best").inner_text().split() == ["0.7000", "val_accuracy", "@", "20"]
        stop = Stop(reason="early_stopping", last_epoch=21, epochs_not_run=979)
        job.settle(Ending(status="succeeded", stop=stop), attempt=1)
        volume.close_job(OpenJob(5, job.id))
        row(page, job).get_by_text("Succeeded").wait_for()
        row(page, job).get_by_text("979 not needed").wait_for()


def test_a_name_is_shown_literally_whatever_it_holds(still):
    job, _ = running(still.api.volume, name=EVIL, metadata={"team": EVIL})
    with still.page() as page:
        page.goto("/")
        assert row(page, job).get_by_role("link").inner_text() == EVIL
        page.get_by_label("Name, or metadata").fill(EVIL.replace("=", "\u2009"))
        page.keyboard.press("Enter")
        page.get_by_text("No job is like that").wait_for()
        page.goto("/page/new?like=" + job.id)
        page.get_by_text("ready to post").wait_for()
        assert page.get_by_label("Name", exact=True).input_value() == EVIL
        page.goto("/page/workers")
        page.get_by_text("Workers").first.wait_for()
        assert "taken over" not in page.title()
        assert page.locator("img[src=x]").count() == 0


def test_filters_are_in_the_address_and_survive_a_reload(still):
    volume = still.api.volume
    job, _ = running(volume, name="one", metadata={"team": "cellar"})
    other = put_job(volume, small_spec(name="two"))
    with still.page() as page:
        page.goto("/")
        row(page, other).wait_for()
        page.get_by_role("button", name="Running").click()
        row(page, other).wait_for(state="detached")
        assert page.url.endswith("/?status=running")
        page.get_by_label("Name, or metadata").fill("team=cellar")
        page.keyboard.press("Enter")
        page.wait_for_url("**/?status=running&metadata.team=cellar")
        page.reload()
        row(page, job).wait_for()
        assert row(page, other).count() == 0
        page.get_by_role("button", name="Remove team = cellar").click()
        page.get_by_role("button", name="Running").click()
        row(page, other).wait_for()
        page.go_back()
        row(page, other).wait_for(state="detached")


def test_selected_jobs_are_compared_and_older_ones_found(still):
    volume = still.api.volume
    jobs = [put_job(volume, small_spec(name=f"n{number}")) for number in range(4)]
    with still.page() as page:
        page.goto("/?limit=3")
        row(page, jobs[3]).wait_for()
        link = page.get_by_role("link", name="Compare")
        assert link.get_attribute("aria-disabled") == "true"
        for job in jobs[1:3]:
            row(page, job).get_by_role("checkbox").check()
        link.click()
        page.wait_for_url("**/page/compare?*")
        assert page.url.endswith(f"/page/compare?job={jobs[1].id}&job={jobs[2].id}")
        page.go_back()
        page.get_by_role("link", name="Older").click()
        row(page, jobs[0]).wait_for()
        page.get_by_role("link", name="Newest").click()
        row(page, jobs[3]).wait_for()


def test_a_hundred_running_jobs_are_shown_without_a_stutter(empty, capsys):
    """The issue's figure is 16 ms of script for each update; it is told, and only a far worse one fails."""
    volume = empty.api.volume
    attempts = [running(volume, epochs=30, name=f"job {number}")[1] for number in range(100)]
    took = []
    with empty.page() as page:
        page.goto("/?limit=100")
        page.locator("tbody tr").nth(99).wait_for()
        for look in range(31, 35):
            page.evaluate("performance.clearMeasures('jobs-update')")
            for attempt in attempts:
                tell(attempt, epoch(look, 0.55, wait=look - 30))
            page.wait_for_function(
                "words => [...document.querySelectorAll('.words')].every(one => one.textContent.includes(words))",
                arg=f"epoch {look}",
                timeout=60_000,
            )
            took += page.evaluate("performance.getEntriesByName('jobs-update').map(one => one.duration)")
    with capsys.disabled():
        print(f"\n100 running jobs: script per update, ms: median {statistics.median(took):.1f}, most {max(took):.1f}")
    assert statistics.median(took) < 160
