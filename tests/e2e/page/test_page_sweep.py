"""The pages of sweeps, in a browser."""

import re

import pytest

from shared.sweep.folder import find_sweep
from tests.support.browser import serious_faults
from tests.support.jobs import put_job, small_spec
from tests.support.past_sweeps import end_trial, ended_sweep, running_sweep


@pytest.fixture
def sweep(still):
    return ended_sweep(still.api.volume)


def selection(page, share):
    """Drag over the upper part of the last axis, that of the objective."""
    box = page.locator("#parallel canvas").first.bounding_box()
    right, top = box["x"] + box["width"] - 56, box["y"] + 34
    page.mouse.move(right, top)
    page.mouse.down()
    page.mouse.move(right, top + share * (box["height"] - 48))
    page.mouse.up()


def test_the_list_leads_to_a_sweep_and_its_best_trial_to_the_job(still, sweep):
    with still.page() as page:
        page.goto("/page/sweeps")
        page.locator(f'#rows a[href="/page/sweeps/{sweep.id}"]').click()
        page.wait_for_selector("#trials tbody tr.best")
        assert page.inner_text("#name") == "default-sweep"
        assert page.locator("#trials tbody tr").count() == 3
        page.get_by_role("link", name="Open job").click()
        page.wait_for_url(f"**/page/jobs/{sweep.trial(2).job}")


def test_a_drag_over_an_axis_selects_trials(still, sweep):
    with still.page() as page:
        page.goto(f"/page/sweeps/{sweep.id}")
        page.wait_for_selector("#trials tbody tr.best")
        page.wait_for_function("document.querySelector('#parallel canvas').width > 0")
        selection(page, 0.3)
        page.get_by_text("1 of 3 trials selected").wait_for()
        assert page.locator("#trials tbody tr").count() == 1
        page.get_by_role("button", name="Select all trials").click()
        page.locator("#trials tbody tr").nth(2).wait_for()


def test_the_winner_is_trained_again_from_another_seed(still, sweep):
    volume = still.api.volume
    with still.page() as page:
        page.goto(f"/page/sweeps/{sweep.id}")
        page.get_by_role("button", name="Retrain from another seed").click()
        page.wait_for_url(re.compile(r"/page/jobs/job_"))
        job = page.url.rpartition("/")[2]
    before, after = (volume.job(one).record().spec for one in (sweep.trial(2).job, job))
    assert after.hyperparameters.seed != before.hyperparameters.seed
    assert after.hyperparameters.learning_rate == before.hyperparameters.learning_rate


def test_a_trial_that_ends_appears_and_a_sweep_is_cancelled(still):
    running, asked = running_sweep(still.api.volume), []
    with still.page() as page:
        page.on("request", lambda one: "/trials?" in one.url and asked.append(one.url.partition("&")[2]))
        page.goto(f"/page/sweeps/{running.id}")
        page.wait_for_selector("#trials tbody tr.best")
        end_trial(still.api.volume, running, 4, 0.9, "epochs_completed")
        page.locator("#facts").get_by_text("0.9000").wait_for()
        # All trials once, then those that had not ended and new ones.
        assert (asked.count("after=0"), set(asked)) == (1, {"after=0", "number=3", "after=3"})
        page.get_by_role("button", name="Cancel sweep").click()
        page.locator("dialog").get_by_role("button", name="Cancel sweep").click()
        page.get_by_role("button", name="Cancelling").wait_for()
    assert running.cancel() is not None


def test_an_ended_sweep_is_extended_and_a_refusal_names_the_field(still, sweep):
    with still.page() as page:
        page.goto(f"/page/sweeps/{sweep.id}")
        page.get_by_role("button", name="Extend sweep").click()
        dialog = page.locator("dialog")
        dialog.get_by_label("Max trials").fill("3")
        dialog.get_by_role("button", name="Extend sweep").click()
        dialog.get_by_text("Max trials: received 3, and the sweep has 6").wait_for()
        dialog.get_by_label("Max trials").fill("9")
        dialog.get_by_label("Max compute time").fill("500")
        dialog.get_by_role("button", name="Extend sweep").click()
        page.get_by_text("of 9").wait_for()
        page.get_by_role("button", name="Cancel sweep").wait_for()
    assert (sweep.extension(1).trials, sweep.extension(1).budget.max_gpu_seconds) == (9, 500)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_everybody_can_use_the_pages(still, sweep, theme):
    with still.page(theme=theme) as page:
        for path, ready in (("/page/sweeps", "#rows tr"), (f"/page/sweeps/{sweep.id}", "#trials tbody tr.best")):
            page.goto(path)
            page.wait_for_selector(ready)
            assert serious_faults(page) == []


def test_on_a_narrow_screen_the_page_does_not_scroll_sideways(still, sweep):
    with still.page(size=(390, 844)) as page:
        page.goto(f"/page/sweeps/{sweep.id}")
        page.wait_for_selector("#trials tbody tr.best")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_sweep_is_posted_from_a_job_and_refusals_stand_at_their_fields(still):
    job = put_job(still.api.volume, small_spec(name="searched"))
    with still.page() as page:
        page.goto(f"/page/sweeps/new?job={job.id}")
        rows = page.get_by_role("group", name="Parameter")
        rows.nth(1).wait_for()
        rows.nth(0).get_by_label("Values").fill("-1, 0.1")
        rows.nth(1).get_by_label("Kind").select_option("choice")
        rows.nth(1).get_by_label("Values").fill("0.1, 0.2")
        page.get_by_role("button", name="Add parameter").click()
        rows.nth(2).get_by_label("Path in the spec").fill("/model/nothing")
        page.get_by_label("Max trials").fill("0")
        page.get_by_role("button", name="Post sweep").click()
        rows.nth(0).locator(".field-error").get_by_text("expected").wait_for()
        rows.nth(2).locator(".field-error").get_by_text("unknown field").wait_for()
        assert page.locator('[name="trials"][aria-invalid="true"]').count() == 1
        assert page.locator("#problems").inner_text() == ""
        rows.nth(2).get_by_role("button", name="Remove").click()
        rows.nth(0).get_by_label("Values").fill("0.001, 0.1")
        page.get_by_label("Max trials").fill("7")
        page.get_by_label("Max compute time").fill("600")
        page.get_by_role("button", name="Post sweep").click()
        page.wait_for_url(re.compile(r"/page/sweeps/sweep_"))
        sweep_id = page.url.rpartition("/")[2]
    record = find_sweep(still.api.volume, sweep_id).record()
    assert (record.spec.trials, record.spec.budget.max_gpu_seconds) == (7, 600)
    assert record.spec.space["/model/dropout"].choice == (0.1, 0.2)
    assert record.spec.space["/hyperparameters/learning_rate"].log == (0.001, 0.1)
