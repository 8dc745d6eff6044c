"""Problems that users had, each tested in a real browser."""

import re

import pytest

from shared.job import Ending, JobError, Stop
from shared.open_job import OpenJob
from tests.e2e.page.past_jobs import finished_job
from tests.support.browser import serious_faults
from tests.support.epochs import epoch, tell
from tests.support.jobs import claim, put_job, small_spec

NOTE_WHAT_IS_SAID = """() => {
  window.said = [];
  const everything = { childList: true, characterData: true, subtree: true };
  for (const one of document.querySelectorAll("[aria-live], [role=status], [role=alert], output"))
    new MutationObserver(() => said.push(one.textContent)).observe(one, everything);
}"""


def opened(page, job_id):
    page.goto(f"/page/jobs/{job_id}")
    page.wait_for_function("() => document.querySelector('#name').textContent !== ''")


def stopped_early(volume, patience):
    """A job that early stopping ended."""
    job = put_job(
        volume, small_spec(hyperparameters={"epochs": 50}, callbacks={"early_stopping": {"patience": patience}})
    )
    tell(claim(job), *(epoch(number, 0.8 - number / 100, epochs=50) for number in range(1, 6)))
    stop = Stop(reason="early_stopping", last_epoch=5, monitor="val_accuracy", wait=patience, patience=patience)
    job.settle(Ending(status="succeeded", stop=stop), attempt=1)
    volume.close_job(OpenJob(5, job.id))
    return job


def test_the_extend_dialog_offers_a_patience_that_is_taken_and_enter_extends(still):
    job = stopped_early(still.api.volume, 4)
    with still.page() as page:
        page.route("**/extend", lambda route: route.abort())
        opened(page, job.id)
        page.get_by_role("button", name="Extend job").press("Enter")
        dialog = page.get_by_role("dialog", name="Extend this job")
        assert dialog.get_by_label("Patience").input_value() == "8"
        with page.expect_request("**/extend") as posted:
            dialog.get_by_label("Max epochs").press("Enter")
        assert posted.value.post_data_json["early_stopping"] == {"patience": 8}
        assert dialog.is_visible()


@pytest.mark.parametrize("way", ["Escape", "Close"])
def test_a_dialog_that_closes_gives_the_focus_back_to_its_button(still, way):
    job = finished_job(still.api.volume, 4, 0.8)
    with still.page() as page:
        opened(page, job.id)
        page.get_by_role("button", name="Extend job").press("Enter")
        dialog = page.get_by_role("dialog")
        dialog.wait_for()
        if way == "Escape":
            page.keyboard.press("Escape")
        else:
            dialog.get_by_role("button", name="Close").click()
        dialog.wait_for(state="detached")
        assert page.evaluate("document.activeElement.textContent") == "Extend job"


def test_enter_in_a_field_of_the_form_posts_no_job(visitor):
    with visitor.page() as page:
        posts = []
        page.on(
            "request", lambda one: posts.append(one.url) if one.method == "POST" and one.url.endswith("/jobs") else None
        )
        page.goto("/page/new")
        page.get_by_label("Dataset").select_option("grades")
        page.get_by_label("Target").select_option("grade")
        page.get_by_text("ready to post").wait_for()
        for label in ("Max epochs", "Hidden layers", "Batch size"):
            page.get_by_label(label, exact=True).press("Enter")
        page.get_by_label("Metadata").press("Enter")
        assert page.url.endswith("/page/new")
        assert posts == []


def test_metadata_without_a_value_is_named_and_posts_nothing(visitor):
    with visitor.page() as page:
        page.goto("/page/new")
        page.get_by_label("Dataset").select_option("grades")
        page.get_by_label("Target").select_option("grade")
        page.get_by_text("ready to post").wait_for()
        page.get_by_label("Metadata").fill("team=cellar, run")
        page.get_by_text('"run" has no value: write run=VALUE').first.wait_for()
        assert page.get_by_role("button", name="Post job").is_disabled()
        page.get_by_label("Metadata").fill("team=cellar, run=3")
        page.get_by_text("ready to post").wait_for()
        assert '"run": "3"' in page.get_by_label("The job's spec as JSON").input_value()


def test_a_search_finds_a_part_of_a_name_as_it_is_typed_and_lives_in_the_address(still):
    volume = still.api.volume
    names = ["Wine of 2025, red", "wine of 2024, white", "100%_cellar"]
    jobs = {name: put_job(volume, small_spec(name=name)) for name in names}
    with still.page() as page:
        page.goto("/")
        field = page.get_by_label("Search in names, or metadata as key=value")
        for text, found in (("WINE OF", names[:2]), ("025, r", names[:1]), ("%_c", names[2:])):
            field.fill(text)
            page.wait_for_function(
                "ids => [...document.querySelectorAll('#rows tr')].map(one => one.dataset.job).sort().join() === ids",
                arg=",".join(sorted(jobs[name].id for name in found)),
            )
        page.wait_for_url("**/?search=%25_c")
        page.reload()
        page.locator(f'tr[data-job="{jobs[names[2]].id}"]').wait_for()
        assert field.input_value() == "%_c"
        assert page.locator("#rows tr").count() == 1
        field.fill("")
        page.wait_for_function("() => document.querySelectorAll('#rows tr').length > 2")


def test_a_failed_job_says_its_error_once_and_shows_no_empty_curves(still):
    volume = still.api.volume
    job = put_job(volume, small_spec())
    claim(job)
    error = JobError(code="bad_data", message="the target holds nothing to learn from")
    job.settle(Ending(status="failed", stop=Stop(reason="error", last_epoch=0), error=error), attempt=1)
    volume.close_job(OpenJob(5, job.id))
    with still.page() as page:
        opened(page, job.id)
        page.locator("#explanation", has_text="It failed before its first epoch had finished").wait_for()
        text = page.locator("#job").inner_text()
        assert len(re.findall(error.message, text, re.IGNORECASE)) == 1
        assert page.get_by_role("heading", name="Curves").is_hidden()


def test_a_job_that_has_used_nothing_says_so_and_not_that_no_price_is_set(still):
    job = put_job(still.api.volume, small_spec())
    with still.page() as page:
        opened(page, job.id)
        page.locator("#facts", has_text="no compute time used yet").wait_for()
        assert "no price is set" not in page.locator("#facts").inner_text()


def test_a_job_that_runs_is_read_aloud_at_its_changes_of_state_alone(still):
    volume = still.api.volume
    job = put_job(volume, small_spec(name="aloud", hyperparameters={"epochs": 30}))
    attempt = claim(job)
    tell(attempt, epoch(1, 0.5, epochs=30))
    with still.page() as page:
        opened(page, job.id)
        page.locator(".chart-caption", has_text="at epoch 1").first.wait_for()
        page.evaluate(NOTE_WHAT_IS_SAID)
        tell(attempt, *(epoch(number, 0.5 + number / 100, epochs=30) for number in range(2, 31)))
        page.locator(".chart-caption", has_text="at epoch 30").first.wait_for()
        job.settle(Ending(status="succeeded", stop=Stop(reason="epochs_completed", last_epoch=30)), attempt=1)
        volume.close_job(OpenJob(5, job.id))
        page.locator("#status", has_text="Succeeded").wait_for()
        assert page.evaluate("said") == ["aloud: Succeeded"]


@pytest.mark.parametrize("address", ["/page/nothing", "/page/jobs/job_0", "/jobs/job_0", "/nowhere", "/datasets/none"])
def test_an_address_that_is_not_there_is_a_page_with_a_way_back(still, address):
    with still.page() as page:
        assert page.goto(address).status == 404
        page.get_by_role("heading", name="Not Found").wait_for()
        assert serious_faults(page) == []
        page.get_by_role("link", name="Show all jobs").click()
        page.wait_for_url("**/")
    assert still.api.ask("GET", address).json["status"] == 404, "a program gets the problem document"


def test_an_address_without_a_session_leads_to_the_log_in(still):
    with still.page(key=None) as page:
        assert page.goto("/jobs/job_0").status == 401
        page.get_by_role("link", name="Log in").click()
        page.wait_for_url("**/page/sign-in")


def test_the_reference_has_a_way_back(still):
    with still.page() as page:
        page.goto("/docs")
        page.get_by_role("link", name="Fitstop").first.click()
        page.get_by_role("heading", name="Jobs").wait_for()
