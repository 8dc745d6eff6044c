"""The list of jobs in a real browser: order, columns, groups, tags, and actions on many jobs at once."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect

from shared.ids import new_sweep_id
from shared.job import Ending, Stop, TrialOf
from shared.open_job import OpenJob
from shared.progress import Best
from tests.support.browser import DESKTOP, PHONE, serious_faults
from tests.support.epochs import epoch, tell
from tests.support.jobs import claim, put_job, small_spec
from tests.support.past_sweeps import bare_sweep


def jobs_of(volume, case, *parts):
    """Put a job for each of `parts`; `?metadata.case=` shows only them."""
    return [
        put_job(volume, small_spec(**{**one, "metadata": {"case": case, **one.get("metadata", {})}})) for one in parts
    ]


def end(volume, job, value, epochs=3):
    tell(claim(job), *(epoch(number, value, epochs=epochs) for number in range(1, epochs + 1)))
    best = Best(epoch=1, monitor="val_accuracy", value=value)
    stop = Stop(reason="epochs_completed", last_epoch=epochs, best=best)
    job.settle(Ending(status="succeeded", stop=stop), attempt=1)
    volume.close_job(OpenJob(5, job.id))


def names(page):
    return page.locator("#rows .job-name").all_inner_texts()


def wait_for_names(page, *expected):
    page.wait_for_function(
        "names => JSON.stringify([...document.querySelectorAll('#rows .job-name')].map((one) => one.textContent)) "
        "=== JSON.stringify(names)",
        arg=list(expected),
    )


def query_of(page):
    return parse_qs(urlsplit(page.url).query)


def test_the_service_sorts_all_jobs_page_by_page_and_the_address_keeps_the_order(still):
    made = jobs_of(still.api.volume, "order", *({"name": name} for name in ("bo", "Al", "Di", "cy")))
    for job, value in zip(made[:3], (0.6, 0.9, 0.7), strict=True):
        end(still.api.volume, job, value)
    with still.page() as page:
        page.goto("/?metadata.case=order&limit=3")
        wait_for_names(page, "cy", "Di", "Al")
        header = page.get_by_role("columnheader", name="Job", exact=True)
        header.get_by_role("button").focus()
        page.keyboard.press("Enter")
        wait_for_names(page, "Al", "bo", "cy")
        assert (query_of(page)["sort"], header.get_attribute("aria-sort")) == (["name"], "ascending")
        assert page.evaluate("document.activeElement.textContent").startswith("Job")
        page.get_by_role("checkbox", name="Select bo").check()
        page.get_by_role("link", name="Next page").click()
        wait_for_names(page, "Di")
        page.get_by_text("1 job selected").wait_for()
        page.get_by_role("link", name="First page").click()
        page.get_by_role("columnheader", name="Best", exact=True).get_by_role("button").click()
        wait_for_names(page, "Al", "Di", "bo")
        page.get_by_text("unfinished jobs come last").wait_for()
        page.reload()
        wait_for_names(page, "Al", "Di", "bo")
        page.go_back()
        wait_for_names(page, "Al", "bo", "cy")


def test_trials_of_sweeps_are_shown_where_somebody_asks_for_them(still):
    volume, sweep, case = still.api.volume, new_sweep_id(), {"case": "trials"}
    bare_sweep(volume)
    put_job(volume, small_spec(name="alone", metadata=case))
    put_job(volume, small_spec(name="sweep 1", metadata=case), sweep=TrialOf(id=sweep, trial=1))
    with still.page() as page:
        page.goto("/?metadata.case=trials")
        wait_for_names(page, "alone")
        page.locator("#sweeps-note").get_by_role("link").wait_for()
        page.get_by_role("button", name="Show trials").click()
        wait_for_names(page, "sweep 1", "alone")
        page.goto(f"/?sweep={sweep}")
        wait_for_names(page, "sweep 1")
        page.get_by_role("button", name=f"Remove sweep = {sweep}").click()
        page.wait_for_url(lambda url: "sweep=" not in url)


def test_what_the_service_cannot_sort_is_sorted_on_the_page_and_the_page_says_so(still):
    specs = [{"name": f"size {size}", "hyperparameters": {"batch_size": size}} for size in (16, 64, 8, 32)]
    jobs_of(still.api.volume, "page-order", *specs)
    with still.page() as page:
        page.goto("/?metadata.case=page-order&sort=-hyperparameters.batch_size")
        wait_for_names(page, "size 64", "size 32", "size 16", "size 8")
        assert page.locator("#order-note").inner_text() == ""
        page.goto("/?metadata.case=page-order&sort=-hyperparameters.batch_size&limit=2")
        wait_for_names(page, "size 32", "size 8")
        page.get_by_text("Sorted by batch_size within the 2 jobs on this page.").wait_for()


@pytest.mark.parametrize(("size", "theme"), [(DESKTOP, "light"), (PHONE, "dark")])
def test_columns_order_and_groups_are_chosen_by_the_keyboard_alone(still, size, theme):
    case = f"view-{theme}"
    specs = [
        {"name": f"{team}{size}", "metadata": {"team": team}, "hyperparameters": {"batch_size": size}}
        for team, size in (("red", 16), ("blue", 8), ("red", 64))
    ]
    jobs_of(still.api.volume, case, *specs, {"name": "alone"})
    with still.page(size, theme) as page:
        page.goto(f"/?metadata.case={case}")
        wait_for_names(page, "alone", "red64", "blue8", "red16")
        page.get_by_role("button", name="View", exact=True).focus()
        page.keyboard.press("Enter")
        box = page.get_by_role("checkbox", name="batch_size")
        box.focus()
        page.keyboard.press("Space")
        page.get_by_role("checkbox", name="Curve").focus()
        page.keyboard.press("Space")
        page.get_by_label("Group by metadata").select_option("metadata.team")
        page.get_by_label("Sort by").select_option("hyperparameters.batch_size")
        assert serious_faults(page) == []
        page.get_by_role("button", name="Apply view").press("Enter")
        wait_for_names(page, "blue8", "red16", "red64", "alone")
        headings = ["team = blue · 1 job", "team = red · 2 jobs", "without team · 1 job"]
        expect(page.locator("#rows .group")).to_have_text(headings, use_inner_text=True)
        assert page.locator("#rows .curve").count() == 0
        assert "hyperparameters.batch_size" in query_of(page)["column"]
        page.reload()
        wait_for_names(page, "blue8", "red16", "red64", "alone")
        assert page.locator("#rows td.extra", has_text=re.compile("^(16|64|8|32)$")).count() == 4
        assert serious_faults(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        page.get_by_role("button", name="View", exact=True).click()
        page.get_by_role("button", name="Reset view").click()
        wait_for_names(page, "alone", "red64", "blue8", "red16")
        assert set(query_of(page)) == {"metadata.case"}


def test_many_jobs_are_cancelled_and_deleted_after_one_question_that_counts_them(still):
    ended, running, waiting = jobs_of(still.api.volume, "many", *({"name": name} for name in ("a", "b", "c")))
    end(still.api.volume, ended, 0.5)
    claim(running)
    with still.page() as page:
        page.goto("/?metadata.case=many")
        wait_for_names(page, "c", "b", "a")
        assert page.get_by_role("group", name="Selected jobs").is_hidden()
        page.get_by_label("Select all jobs on this page").focus()
        page.keyboard.press("Space")
        page.get_by_text("3 jobs selected").wait_for()
        page.get_by_role("button", name="Cancel jobs").click()
        dialog = page.get_by_role("dialog")
        assert (
            "1 running: progress is saved first. 1 queued. 1 selected job had already finished" in dialog.inner_text()
        )
        dialog.get_by_role("button", name="Keep running").click()
        assert still.api.ask("GET", f"/jobs/{waiting.id}").json["status"] == "queued"
        page.get_by_role("button", name="Cancel jobs").press("Enter")
        page.get_by_role("dialog").get_by_role("button", name="Cancel 2 jobs").press("Enter")
        page.get_by_text("2 jobs cancelled.").wait_for()
        page.locator("#rows").get_by_text("Cancelling").wait_for()
        assert still.api.ask("GET", f"/jobs/{waiting.id}").json["status"] == "cancelled"
        page.get_by_label("Select all jobs on this page").check()
        page.get_by_role("button", name="Delete jobs").click()
        assert "1 selected job has not ended and stays." in page.get_by_role("dialog").inner_text()
        page.get_by_role("dialog").get_by_role("button", name="Delete 2 jobs").click()
        page.get_by_text("2 jobs deleted.").wait_for()
        wait_for_names(page, "b")
        assert still.api.ask("GET", f"/jobs/{ended.id}").status == 404
        page.get_by_text("1 job selected").wait_for()


def test_jobs_are_tagged_together_and_found_by_their_tag(still):
    one, other, _ = jobs_of(still.api.volume, "tags", *({"name": name} for name in ("a", "b", "c")))
    with still.page() as page:
        page.goto("/?metadata.case=tags")
        wait_for_names(page, "c", "b", "a")
        for name in ("a", "b"):
            page.get_by_role("checkbox", name=f"Select {name}", exact=True).check()
        page.get_by_role("button", name="Tag", exact=True).click()
        page.get_by_label("Tag", exact=True).fill("<b>keep</b>")
        page.keyboard.press("Enter")
        page.get_by_text("2 jobs changed.").wait_for()
        page.locator("#rows .tag", has_text="<b>keep</b>").nth(1).wait_for()
        page.get_by_label("Search in names, or metadata").fill("tag:<b>keep</b>")
        page.keyboard.press("Enter")
        wait_for_names(page, "b", "a")
        assert query_of(page)["tag"] == ["<b>keep</b>"]
        page.get_by_role("button", name="Remove tag = <b>keep</b>").click()
        wait_for_names(page, "c", "b", "a")
    assert still.api.ask("GET", f"/jobs/{one.id}").json["tags"] == ["<b>keep</b>"]
    assert still.api.ask("GET", f"/jobs/{other.id}").json["tags"] == ["<b>keep</b>"]


def test_tags_and_the_note_are_changed_on_the_jobs_page_by_the_keyboard(still):
    [job] = jobs_of(still.api.volume, "note", {"name": "one"})
    with still.page() as page:
        page.goto(f"/page/jobs/{job.id}")
        field = page.get_by_label("New tag")
        field.fill("baseline")
        field.press("Enter")
        page.get_by_role("link", name="baseline").wait_for()
        page.get_by_role("button", name="Add a note").press("Enter")
        page.get_by_label("Note", exact=True).fill("first line\nsecond <i>line</i>")
        page.get_by_role("button", name="Save note").press("Enter")
        page.get_by_role("button", name="Edit note").wait_for()
        assert page.locator(".note-text").inner_text() == "first line\nsecond <i>line</i>"
        assert page.evaluate("document.activeElement.textContent") == "Edit note"
        assert serious_faults(page) == []
        page.reload()
        page.get_by_text("second <i>line</i>").wait_for()
        page.get_by_role("button", name="Edit note").click()
        page.get_by_label("Note", exact=True).fill("another")
        page.keyboard.press("Escape")
        page.get_by_text("second <i>line</i>").wait_for()
        page.get_by_role("button", name="Remove the tag baseline").press("Enter")
        page.get_by_role("link", name="baseline").wait_for(state="detached")
    shown = still.api.ask("GET", f"/jobs/{job.id}").json
    assert (shown["tags"], shown["note"]) == ([], "first line\nsecond <i>line</i>")


def test_a_key_that_may_only_read_sees_tags_and_changes_nothing(still):
    [job] = jobs_of(still.api.volume, "reader", {"name": "one"})
    still.api.ask("PATCH", f"/jobs/{job.id}", {"tags": ["a"], "note": "b"})
    key = still.api.ask("POST", "/keys", {"name": "reader", "scope": "read"}).json["key"]
    with still.page(key=key) as page:
        page.goto("/?metadata.case=reader")
        page.get_by_role("checkbox", name="Select one").check()
        page.get_by_text("1 job selected").wait_for()
        assert page.get_by_role("button", name="Delete jobs").is_hidden()
        page.goto(f"/page/jobs/{job.id}")
        page.get_by_role("link", name="a", exact=True).wait_for()
        assert page.get_by_role("button", name="Edit note").count() == 0


def test_the_head_says_what_runs_per_hour(empty):
    for _ in range(2):
        claim(put_job(empty.api.volume, small_spec()), dollars_per_hour=1.25)
    with empty.page() as page:
        page.goto("/")
        page.get_by_text("$2.50 per hour now").wait_for()
