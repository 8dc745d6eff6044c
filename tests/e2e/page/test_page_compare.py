"""The comparison of several jobs, in a real browser."""

import re

import pytest

from tests.e2e.page.past_jobs import finish, finished_job, interrupted_job, long_job
from tests.support.browser import DESKTOP, PHONE, serious_faults
from tests.support.jobs import put_job, small_spec
from tests.unit.shared.histories import trained


@pytest.fixture(scope="module")
def three(still_api):
    """The documents of three jobs with different models and hyperparameters; the name of one is markup."""
    longer = {"epochs": 8, "learning_rate": 0.03}
    jobs = [
        finished_job(still_api.volume, 4, 0.71, name="<b>narrow</b>", model={"layers": [4]}),
        finished_job(still_api.volume, 4, 0.79, name="wide", model={"layers": [16]}),
        finished_job(still_api.volume, 8, 0.75, name="wide", model={"layers": [16]}, hyperparameters=longer),
    ]
    return [still_api.ask("GET", f"/jobs/{job.id}").json for job in jobs]


def address(jobs, *more):
    return "/page/compare?" + "&".join([*(f"job={job['id']}" for job in jobs), *more])


def opened(page, jobs, *more):
    page.goto(address(jobs, *more))
    page.locator("#chart canvas").wait_for()


def names(page):
    return page.locator("#table tbody .job-cell a").all_inner_texts()


def test_three_jobs_lie_over_one_another(still, three):
    with still.page() as page:
        opened(page, three)
        assert page.locator("#chart .chart-legend button").count() == 3
        assert page.locator("#metric").input_value() == "val_accuracy"
        best = max(three, key=lambda job: job["progress"]["best"]["value"])["progress"]["best"]
        page.get_by_text(re.compile(rf"highest {best['value']:.4f} at epoch {best['epoch']} of ")).wait_for()
        page.get_by_label("Metric").select_option("loss")
        page.wait_for_url("**metric=loss*")
        page.get_by_role("heading", name="loss", exact=True).wait_for()


def test_only_what_differs_is_in_the_table(still, three):
    with still.page() as page:
        opened(page, three)
        titles = page.locator("#table thead th").all_inner_texts()
        measured = ["Job", "Status", "Highest", "At epoch", "Last", "Lowest", "Epochs", "Compute time", "Cost"]
        assert titles == [*measured, "layers", "epochs", "learning_rate"]
        cells = page.locator("#table tbody tr").nth(2).locator(".differs").all_inner_texts()
        assert cells == ["[16]", "8", "0.03"]


def test_it_is_sorted_by_whatever_somebody_asks_and_the_address_keeps_it(still, three):
    by_best = sorted(three, key=lambda job: -job["progress"]["best"]["value"])
    with still.page() as page:
        opened(page, three)
        page.get_by_role("button", name="Highest", exact=True).click()
        assert page.locator("th[aria-sort=descending]").inner_text() == "Highest ↓"
        page.reload()
        page.locator("th[aria-sort=descending]").wait_for()
        ids = page.locator("#table tbody .job-cell a").evaluate_all("all => all.map(one => one.title)")
        values = {job["id"]: job["progress"]["best"]["value"] for job in three}
        assert [values[job_id] for job_id in ids] == [job["progress"]["best"]["value"] for job in by_best]
        page.get_by_role("button", name="Cost").click()
        assert page.locator("th[aria-sort=ascending]").inner_text() == "Cost ↑"


def test_a_job_is_taken_off_and_the_others_keep_their_colours(still, three):
    colours = """[...document.querySelectorAll('#chips li')].map(
      (one) => [one.querySelector('a').textContent, one.querySelector('path').getAttribute('stroke')])"""
    with still.page() as page:
        opened(page, three)
        before = page.evaluate(colours)
        assert len({colour for _, colour in before}) == 3
        page.reload()
        page.locator("#chart canvas").wait_for()
        assert page.evaluate(colours) == before
        page.get_by_role("button", name=re.compile("^Remove wide")).last.click()
        page.wait_for_function("() => document.querySelectorAll('#chips li').length === 2")
        assert three[2]["id"] not in page.url
        assert [colour for _, colour in page.evaluate(colours)] == [colour for _, colour in before[:2]]
        page.reload()
        page.wait_for_function("() => document.querySelectorAll('#chips li').length === 2")


def test_a_running_job_moves_along(still, three):
    volume = still.api.volume
    with still.page() as page:
        waits = put_job(volume, small_spec(name="waits", hyperparameters={"epochs": 12}))
        opened(page, [three[0], {"id": waits.id}])
        row = page.locator("#table tbody tr").nth(1)
        row.get_by_text("Queued").wait_for()
        finish(volume, waits, 12, 0.8)
        row.get_by_text("Succeeded").wait_for()
        page.wait_for_function("() => document.querySelectorAll('#table tbody tr')[1].cells[6].textContent === '12'")


def test_a_sample_says_that_it_is_one_and_a_job_that_is_gone_is_told(still):
    volume, gone = still.api.volume, "job_01K0000000000000000000GONE"
    with still.page() as page:
        opened(page, [{"id": long_job(volume).id}, {"id": interrupted_job(volume).id}, {"id": gone}])
        page.get_by_text("1 job sampled").wait_for()
        page.locator(".notice", has_text=gone).wait_for()
        page.get_by_role("button", name="Time", exact=True).click()
        page.get_by_role("button", name="Log", exact=True).click()
        assert page.locator("#chips li").count() == 2
    still.complaints.clear()


def test_twenty_are_shown_and_no_more(still):
    jobs = [{"id": trained(still.api.volume, [0.5, 0.6, 0.6 + place / 100]).id} for place in range(21)]
    with still.page() as page:
        opened(page, jobs)
        page.locator(".notice", has_text="the first 20 are shown").wait_for()
        pens = page.locator("#chips path").evaluate_all(
            "all => all.map(one => one.getAttribute('stroke') + one.getAttribute('stroke-dasharray'))"
        )
        assert len(set(pens)) == 20


@pytest.mark.parametrize(("size", "theme"), [(DESKTOP, "light"), (PHONE, "dark")])
def test_everybody_can_read_it(still, three, size, theme):
    with still.page(size=size, theme=theme) as page:
        opened(page, three)
        assert page.locator("#table tbody b").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        assert serious_faults(page) == []


def test_without_jobs_it_says_where_they_are_chosen(still):
    with still.page() as page:
        page.goto("/page/compare")
        page.get_by_role("link", name="the list of jobs").wait_for()
