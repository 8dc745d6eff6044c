"""The page of one job, in a real browser at a real service."""

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

from shared.job import BudgetUsed, Ending, Stop
from shared.open_job import OpenJob
from tests.e2e.page.past_jobs import finished_job, held_up, interrupted_job, long_job, over, posted
from tests.support.browser import DESKTOP, PHONE, serious_faults
from tests.support.epochs import epoch, tell
from tests.support.evaluations import classified, leave_evaluation, measured_numbers
from tests.support.jobs import LONG, claim, put_job, small_spec
from tests.unit.shared.histories import trained

EVIL = "<img src=x onerror=alert(1)>"
# Learns within a second, and early stopping ends it long before its last epoch.
STOPPING = {
    "hyperparameters": {"epochs": 400, "batch_size": 32, "learning_rate": 0.02},
    "callbacks": {"early_stopping": {"patience": 6}, "reduce_lr_on_plateau": {"patience": 3}},
}


@pytest.fixture(scope="module")
def finished(page_api, page_worker):
    """The document of a job that early stopping ended; its name and metadata are markup."""
    job_id = posted(page_api, name=EVIL, metadata={"note": EVIL}, **STOPPING)
    job = over(page_api, job_id)
    assert job["stop"]["reason"] == "early_stopping"
    return job


def opened(page, job_id, query=""):
    page.goto(f"/page/jobs/{job_id}{query}")
    page.wait_for_function("() => document.querySelector('#name').textContent !== ''")


def facts(page):
    """The exact figures of the slider's panel."""
    found = page.eval_on_selector_all("[data-fact]", "all => all.map(one => [one.dataset.fact, one.value])")
    return {name: float(value) if value else None for name, value in found}


def slide(page, patience):
    page.locator("#patience").fill(str(patience))


# Runs long enough to be seen running.
SLOW = {
    "hyperparameters": {"epochs": 20, "batch_size": 8, "engine": "stock"},
    "callbacks": {"early_stopping": None},
}
AT_THE_END = """() => {
  const { scrollTop, clientHeight, scrollHeight } = document.querySelector("#events-frame");
  return scrollTop + clientHeight >= scrollHeight - 2;
}"""
# Records every caption of the large chart.
NOTE_CAPTIONS = """() => {
  window.captions = new Set();
  const note = () => captions.add(document.querySelector(".chart-caption")?.textContent ?? "");
  const everything = { childList: true, characterData: true, subtree: true };
  new MutationObserver(note).observe(document.querySelector("main"), everything);
}"""


def test_a_job_is_watched_live_from_its_post_to_its_stop(visitor, page_api, page_worker):
    with visitor.page() as page:
        with held_up(page_api):
            job_id = posted(page_api, name="watched", **SLOW)
            opened(page, job_id)
            page.locator("#status", has_text="Queued").wait_for()
            page.get_by_role("button", name="Cancel").wait_for()
            page.evaluate(NOTE_CAPTIONS)
        page.locator("#status", has_text="Succeeded").wait_for(timeout=120_000)
        page.locator("#explanation", has_text="It ran all of its 20 epochs. The best model is from epoch").wait_for()
        page.get_by_role("img", name=re.compile(r"^Chart\. val_accuracy highest .* last .* at epoch 20")).wait_for()
        moved = {re.search(r"at epoch (\d+)(?!.*at epoch)", one) for one in page.evaluate("[...captions]")}
        assert len({found[1] for found in moved if found}) > 3, "the chart moved while the job ran"
        page.locator("#events li").last.get_by_text("the job has succeeded").wait_for()
        assert page.get_by_role("button", name="Cancel").count() == 0
        page.locator("#ledger", has_text="Learning").wait_for()
        # Every epoch appears once, although the page was open while they arrived.
        told = page.locator("#events li", has_text=re.compile(r"^\S+\s*epoch\s*epoch \d+ of 20")).all_inner_texts()
        assert [int(re.search(r"epoch (\d+) of 20", one)[1]) for one in told] == list(range(1, 21))


def test_with_the_event_stream_blocked_it_still_moves(still):
    def without_streams(route):
        is_stream = "text/event-stream" in route.request.headers.get("accept", "")
        route.abort() if is_stream else route.continue_()

    volume = still.api.volume
    with still.page() as page:
        page.route("**/events*", without_streams)
        job = put_job(volume, small_spec(hyperparameters={"epochs": 20}))
        opened(page, job.id)
        page.locator("#status", has_text="Queued").wait_for()
        attempt = claim(job)
        tell(attempt, *(epoch(number, 0.5) for number in range(1, 6)))
        page.locator("#status", has_text="Running").wait_for()
        page.locator(".chart-caption", has_text="at epoch 5").first.wait_for()
        tell(attempt, *(epoch(number, 0.6) for number in range(6, 21)))
        job.settle(Ending(status="succeeded", stop=Stop(reason="epochs_completed", last_epoch=20)), attempt=1)
        volume.close_job(OpenJob(5, job.id))
        page.locator("#status", has_text="Succeeded").wait_for()
        page.locator(".chart-caption", has_text="at epoch 20").first.wait_for()
    # The browser reports each blocked request as failed.
    assert all("net::ERR_FAILED" in words for words in still.complaints)
    still.complaints.clear()


def test_the_slider_says_what_the_service_replays(visitor, page_api, finished):
    with visitor.page() as page:
        opened(page, finished["id"])
        page.locator("[data-fact=stops-at-epoch]").wait_for()
        for patience in range(1, 6):
            slide(page, patience)
            answer = page_api.ask("POST", f"/jobs/{finished['id']}/replay", {"patience": patience}).json
            assert answer["known"]
            shown = facts(page)
            assert shown["stops-at-epoch"] == answer["stop"]["epoch"]
            assert shown["epochs-saved"] == answer["saved"]["epochs"]
            assert shown["gpu-time-saved"] == pytest.approx(answer["saved"]["gpu_seconds"], abs=1e-6)
            assert shown["money-saved"] == pytest.approx(answer["saved"]["costs"][0]["amount"], abs=1e-6)
            assert shown["best"] == answer["model"]["best_value"]
            assert shown["lost"] == pytest.approx(answer["model"]["lost"])
            assert page.locator("#marks-key", has_text="stop with the chosen patience").count() == 1


def test_what_another_patience_would_have_found_behind_the_last_epoch_cannot_be_known(visitor, finished):
    with visitor.page() as page:
        opened(page, finished["id"])
        page.locator("[data-fact=stops-at-epoch]").wait_for()
        slide(page, 30)
        assert "Later epochs are unknown" in page.locator(".patience-text").inner_text()
        assert facts(page)["stops-at-epoch"] is None
        page.get_by_role("button", name="Reset").click()
        assert facts(page)["stops-at-epoch"] == finished["stop"]["last_epoch"]


def test_the_model_that_is_fetched_is_the_one_of_the_manifest(visitor, page_api, finished, tmp_path):
    [best] = [one for one in page_api.ask("GET", f"/jobs/{finished['id']}/checkpoints").json["data"] if one["is_best"]]
    with visitor.page() as page:
        opened(page, finished["id"])
        page.locator("#checkpoints code", has_text=best["sha256"]).wait_for()
        with page.expect_download() as fetched:
            page.get_by_role("link", name="Best model").click()
        fetched.value.save_as(tmp_path / "best.keras")
    assert hashlib.sha256((tmp_path / "best.keras").read_bytes()).hexdigest() == best["sha256"]


def test_names_and_metadata_are_shown_as_they_are(visitor, finished):
    with visitor.page() as page:
        page.on("dialog", lambda dialog: visitor.complaints.append(dialog.message))
        opened(page, finished["id"])
        assert page.locator("#name").inner_text() == EVIL
        assert json.loads(page.locator("#spec").text_content())["metadata"] == {"note": EVIL}
        assert page.locator("main img").count() == 0


@pytest.mark.parametrize(("size", "theme"), [(DESKTOP, "light"), (PHONE, "dark")])
def test_everybody_can_read_it(visitor, finished, size, theme):
    with visitor.page(size=size, theme=theme) as page:
        opened(page, finished["id"])
        page.locator("#checkpoints table").wait_for()
        page.locator("#explanation:not(:empty)").wait_for()
        page.locator("#marks-key li").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        assert serious_faults(page) == []


def test_the_marks_tell_what_happened_on_the_way(still):
    job = interrupted_job(still.api.volume)
    with still.page() as page:
        opened(page, job.id)
        page.get_by_text("val_accuracy highest 0.8000 at epoch 14, last 0.7000 at epoch 24").wait_for()
        page.get_by_text("fell once from 0.001").wait_for()
        kinds = page.locator("#marks-key").get_attribute("data-kinds").split(",")
        assert kinds == ["best", "drop", "checkpoint", "interruption", "stop"]
        page.locator("#ledger", has_text="Redone").wait_for()


def test_a_chart_is_a_table_too(still):
    job = interrupted_job(still.api.volume)
    with still.page() as page:
        opened(page, job.id)
        figure = page.locator("figure", has=page.get_by_role("heading", name="accuracy", exact=True))
        figure.get_by_role("button", name="Table").click()
        rows = figure.locator("tbody tr")
        assert rows.count() == 24
        assert rows.nth(13).inner_text().split() == ["14", "0.8200", "0.8000"]
        figure.get_by_role("button", name="Table").click()
        figure.locator("canvas").wait_for()


def test_a_drag_zooms_all_charts_and_a_double_click_shows_all_again(still):
    job = interrupted_job(still.api.volume)
    with still.page() as page:
        opened(page, job.id)
        page.get_by_text("24 points, each is shown").wait_for()
        over_plot = page.locator("#great-chart .u-over")
        over_plot.scroll_into_view_if_needed()
        box = over_plot.bounding_box()
        middle = box["y"] + box["height"] / 2
        page.mouse.move(box["x"] + box["width"] * 0.5, middle)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.7, middle, steps=4)
        page.mouse.up()
        page.get_by_role("button", name="Reset zoom").wait_for()
        loss = page.locator("figure", has=page.get_by_role("heading", name="loss", exact=True))
        loss.get_by_role("button", name="Table").click()
        assert loss.locator("tbody tr").count() < 10
        over_plot.dblclick()
        page.get_by_role("button", name="Reset zoom").wait_for(state="hidden")
        page.wait_for_function("() => document.querySelectorAll('.chart-table tbody tr').length === 24")


def test_how_it_is_looked_at_survives_a_reload(still):
    job = interrupted_job(still.api.volume)
    with still.page() as page:
        opened(page, job.id)
        page.get_by_role("button", name="Log", exact=True).click()
        page.get_by_role("button", name="Time", exact=True).click()
        page.get_by_label("Smoothing").fill("0.6")
        page.get_by_text("(smoothed 0.").first.wait_for()
        page.reload()
        page.get_by_text("(smoothed 0.").first.wait_for()
        for name in ("Log", "Time"):
            assert page.get_by_role("button", name=name, exact=True).get_attribute("aria-pressed") == "true"


def test_what_cannot_lie_on_a_logarithmic_axis_breaks_nothing(still):
    with still.page() as page:
        for curve in [[0.0, 0.0, 0.0], [0.5], [None, None], [-1.0, 0.0, 2.0], [0.3, 0.3]]:
            job = trained(still.api.volume, curve)
            opened(page, job.id, "?y=log&smoothing=0.5")
            page.get_by_text(re.compile("val_accuracy(:| highest)")).first.wait_for()
            page.locator("#great-chart canvas").wait_for()


def test_thousands_of_epochs_are_sampled_and_it_says_so(still):
    job = long_job(still.api.volume)
    with still.page() as page:
        opened(page, job.id)
        page.get_by_text(re.compile(r"of 5,000 points shown, sampled")).wait_for()
        page.get_by_text("the last 500 of").wait_for()
        assert page.locator("#events li").count() <= 500
        tell(job.attempts()[-1], *(epoch(number, 0.5) for number in range(5001, 5031)))
        page.locator("#events li").last.get_by_text("epoch 5030").wait_for()
        page.wait_for_function(AT_THE_END)


def test_events_stay_where_somebody_reads_them(still):
    job = long_job(still.api.volume, 100)
    with still.page() as page:
        opened(page, job.id)
        page.locator("#events li", has_text="epoch 100").wait_for()
        page.wait_for_function(AT_THE_END)
        page.locator("#events-frame").evaluate("frame => { frame.scrollTop = 40; }")
        page.get_by_role("button", name="Show the newest").wait_for()
        page.get_by_label("epochs", exact=True).uncheck()
        page.locator("#events li", has_text="epoch 100").wait_for(state="detached")


def test_what_can_be_done_follows_the_state_and_the_key(visitor, page_api, page_volume, finished):
    reader = page_api.ask("POST", "/keys", {"name": "reader", "scope": "read"}).json["key"]
    with visitor.page() as page:
        opened(page, finished["id"])
        names = page.locator("#actions").get_by_role("button").all_inner_texts()
        assert names == ["Extend job", "Delete job", "Share job"]
        assert (
            page.get_by_role("link", name="Copy to new job").get_attribute("href") == f"/page/new?like={finished['id']}"
        )
    with visitor.page(key=reader) as page:
        opened(page, finished["id"])
        page.locator("#checkpoints table").wait_for()
        assert page.locator("#actions *").count() == 0


def test_a_running_job_is_cancelled_tried_anew_and_deleted(visitor, page_api, page_worker):
    job_id = posted(page_api, **{**LONG, "name": "too long"})
    with visitor.page() as page:
        opened(page, job_id)
        page.get_by_role("button", name="Cancel").click()
        page.get_by_role("button", name="Keep running").click()
        assert page_api.ask("GET", f"/jobs/{job_id}").json["cancel_requested_at"] is None
        page.get_by_role("button", name="Cancel").click()
        page.get_by_role("dialog").get_by_role("button", name="Cancel job").click()
        page.locator("#status", has_text="Cancelled").wait_for()
        page.get_by_role("button", name="Retry").click()
        page.wait_for_url(lambda url: job_id not in url)
        page.get_by_role("link", name=job_id).wait_for()
        page.get_by_role("button", name="Cancel").click()
        page.get_by_role("dialog").get_by_role("button", name="Cancel job").click()
        page.locator("#status", has_text="Cancelled").wait_for()
        page.goto(f"/page/jobs/{job_id}")
        page.get_by_role("button", name="Delete").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete job").click()
        page.wait_for_url(f"{visitor.url}/")
    assert page_api.ask("GET", f"/jobs/{job_id}").status == 404


def test_a_job_that_stopped_is_gone_on_with_in_one_unbroken_chart(visitor, page_api, finished):
    last = finished["stop"]["last_epoch"]
    with visitor.page() as page:
        opened(page, finished["id"])
        page.get_by_role("button", name="Extend").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Max epochs").fill(str(last))
        dialog.get_by_label("Patience").fill("300")
        dialog.get_by_role("button", name="Extend").click()
        dialog.get_by_text(f"Max epochs: received {last}").wait_for()
        dialog.get_by_label("Max epochs").fill(str(last + 5))
        dialog.get_by_label("Max compute time in seconds (optional)").fill("600.5")
        dialog.get_by_label("Max cost (optional)").fill("2")
        dialog.get_by_label("Deadline").fill("2050-01-31T06:30")
        here = page.evaluate("new Date('2050-01-31T06:30').toISOString()")
        dialog.get_by_role("button", name="Extend").click()
        page.wait_for_url(lambda url: "/page/jobs/" in url and finished["id"] not in url)
        page.get_by_role("link", name=finished["id"]).wait_for()
        page.locator("#status", has_text="Succeeded").wait_for(timeout=120_000)
        page.locator(".chart-caption", has_text=f"at epoch {last + 5}").first.wait_for()
        figure = page.locator("figure", has=page.get_by_role("heading", name="loss", exact=True))
        figure.get_by_role("button", name="Table").click()
        epochs = figure.locator("tbody tr").evaluate_all("all => all.map(one => Number(one.cells[0].textContent))")
        assert epochs == list(range(1, last + 6))
        extended = page_api.ask("GET", f"/jobs/{page.url.rpartition('/')[2]}").json
    assert extended["extends"] == finished["id"]
    assert (extended["stop"]["reason"], extended["stop"]["last_epoch"]) == ("epochs_completed", last + 5)
    assert extended["spec"]["callbacks"]["early_stopping"]["patience"] == 300
    assert extended["spec"]["budget"] == {"max_gpu_seconds": 600.5, "max_cost": 2.0, "deadline": here}
    assert page_api.ask("GET", f"/jobs/{finished['id']}").json == finished


def test_a_budget_shows_how_much_of_it_is_used_and_its_limits_are_offered_to_the_next_job(still):
    volume = still.api.volume
    budget = {"max_gpu_seconds": 600, "max_cost": 2.5, "deadline": "2050-01-31T06:30:00Z"}
    job = put_job(volume, small_spec(budget=budget))
    tell(claim(job), epoch(1, 0.5))
    asked = []
    with still.page() as page:
        opened(page, job.id)
        words = page.locator("#facts").inner_text()
        assert re.search(r"Budget\s+[\d.]+ s of 10 min\s+of compute time; 0 of 2.5 paid; 2050-01-31 ", words), words
        used = BudgetUsed(kind="max_cost", limit=2.5, used=2.4871, currency="EUR")
        stop = Stop(reason="budget", last_epoch=1, epochs_not_run=3, budget=used)
        job.settle(Ending(status="succeeded", stop=stop), attempt=1)
        volume.close_job(OpenJob(5, job.id))
        page.locator("#facts", has_text="Budget used up").wait_for()
        assert "€2.49 of €2.50" in page.locator("#facts").inner_text()
        page.locator("#explanation", has_text="its budget was used up (2.487 of 2.5 EUR)").wait_for()
        page.route("**/extend", lambda route: (asked.append(route.request.post_data_json), route.abort()))
        page.get_by_role("button", name="Extend").click()
        dialog = page.get_by_role("dialog")
        assert dialog.get_by_label("Max compute time in seconds (optional)").input_value() == "600"
        dialog.get_by_label("Max compute time in seconds (optional)").fill("")
        dialog.get_by_label("Max cost (optional)").fill("5")
        dialog.get_by_role("button", name="Extend").click()
        dialog.get_by_role("alert").locator("p").wait_for()
    # Unchanged fields are not sent.
    assert [one["budget"] for one in asked] == [{"max_gpu_seconds": None, "max_cost": 5}]


def test_what_others_wrote_is_what_they_wrote():
    vendor = Path(__file__).parents[3] / "api" / "page" / "static" / "vendor"
    hashes = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in vendor.iterdir()
        if path.suffix in {".js", ".css"}
    }
    said = (vendor / "README.md").read_text()
    assert hashes
    assert all(digest in said for digest in hashes.values())


def test_the_output_is_shown_searched_and_followed_and_stays_text(still):
    volume = still.api.volume
    job = put_job(volume, small_spec())
    attempt = claim(job)
    attempt.output_file.write_text(f"compiling\n{EVIL}\n\x1b[2Jcleared\n")
    with still.page() as page:
        opened(page, job.id)
        page.locator("#output summary").click()
        text = page.locator("#output-text")
        text.get_by_text("compiling").wait_for()
        lines = text.inner_text().splitlines()
        assert lines[0].startswith("==> attempt 1 on ")
        assert lines[1:] == ["compiling", EVIL, "\\x1b[2Jcleared"]
        page.get_by_label("Search", exact=True).fill("COMP")
        page.locator("#output-note", has_text="1 of 4 lines").wait_for()
        assert text.inner_text() == "compiling"
        with attempt.output_file.open("a") as file:
            file.write("compiled in 3 s\n")
        page.locator("#output-note", has_text="2 of 5 lines").wait_for()
        assert text.inner_text() == "compiling\ncompiled in 3 s"
        with attempt.output_file.open("a") as file:
            file.write("".join(f"line {number}\n" for number in range(200)))
        page.get_by_label("Search", exact=True).fill("")
        page.locator("#output-note", has_text="205 lines").wait_for()
        page.wait_for_function(
            "() => { const { scrollTop, clientHeight, scrollHeight } = document.querySelector('#output-text');"
            " return scrollTop + clientHeight >= scrollHeight - 2; }"
        )


def evaluated_job(volume, task, validation, test=None):
    """A finished job whose best model was evaluated."""
    job = finished_job(volume, 4, 0.8)
    leave_evaluation(job.attempts()[0], task, validation, test)
    return job


@pytest.mark.parametrize(("size", "theme"), [(DESKTOP, "dark"), (PHONE, "light")])
def test_an_evaluation_is_a_matrix_curves_and_pictures_of_the_worst_mistakes(still, size, theme):
    random = np.random.default_rng(3)
    true = random.integers(0, 2, 60).tolist()
    shares = np.clip(np.array(true) * 0.4 + random.random(60) * 0.6, 0, 1)[:, None]
    pictures = random.integers(0, 256, (60, 12, 12, 3), np.uint8)
    validation = classified(("<b>cat</b>", "dog"), true, shares.tolist(), pictures)
    test = measured_numbers([1.0, 2.0, 4.0], [1.5, 2.0, 3.0])
    job = evaluated_job(still.api.volume, "binary", validation, test)
    with still.page(size=size, theme=theme) as page:
        opened(page, job.id)
        part = page.get_by_role("region", name="Evaluation on the validation part")
        part.get_by_role("region", name="Confusion matrix").wait_for()
        cells = part.get_by_role("region", name="Confusion matrix").locator("tbody td").all_inner_texts()
        assert [int(one) for one in cells] == [count for row in validation.confusion for count in row]
        assert "<b>cat</b>" in part.get_by_role("region", name="Classes of the validation part").inner_text()
        part.get_by_role("img", name=f"ROC curve: AUC {validation.roc.auc:.4f}").wait_for()
        part.get_by_role("img", name="Calibration").wait_for()
        first = part.locator(".thumbnails img").first
        assert first.get_attribute("src") == validation.mistakes[0].thumbnail
        page.wait_for_function("() => document.querySelector('.thumbnails img').naturalWidth === 12")
        numbers = page.get_by_role("region", name="Evaluation on the test part")
        assert numbers.locator(".evaluated-table tbody tr").first.locator("td").all_inner_texts() == [
            "2",
            "4",
            "3",
            "1.0000",
        ]
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        assert serious_faults(page) == []


def test_a_job_without_an_evaluation_shows_none(still):
    job = finished_job(still.api.volume, 4, 0.8)
    with still.page() as page:
        opened(page, job.id)
        page.locator("#status", has_text="Succeeded").wait_for()
        assert page.locator("#evaluation").is_hidden()
