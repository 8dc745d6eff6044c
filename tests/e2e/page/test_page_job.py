"""The page of one job, in a real browser at a real service."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from tests.e2e.page.past_jobs import interrupted_job, long_job, over, posted
from tests.support.browser import PHONE, serious_faults
from tests.unit.shared.histories import trained

EVIL = "<img src=x onerror=alert(1)>"
# Learns within a second, and stops by its patience long before its epochs are over.
STOPPING = {
    "hyperparameters": {"epochs": 400, "batch_size": 32, "learning_rate": 0.02},
    "callbacks": {"early_stopping": {"patience": 6}, "reduce_lr_on_plateau": {"patience": 3}},
}


@pytest.fixture(scope="module")
def finished(page_api, page_worker):
    """The document of a job that was trained and stopped by itself, whose name and metadata are markup."""
    job_id = posted(page_api, name=EVIL, metadata={"note": EVIL}, **STOPPING)
    job = over(page_api, job_id)
    assert job["stop"]["reason"] == "early_stopping"
    return job


def opened(page, job_id, query=""):
    page.goto(f"/page/jobs/{job_id}{query}")
    page.wait_for_function("() => document.querySelector('#name').textContent !== ''")


def facts(page):
    """The figures of the slider's panel, exactly."""
    found = page.eval_on_selector_all("[data-fact]", "all => all.map(one => [one.dataset.fact, one.value])")
    return {name: float(value) if value else None for name, value in found}


def slide(page, patience):
    page.locator("#patience").fill(str(patience))


def test_a_job_is_watched_live_from_its_post_to_its_stop(visitor, page_api, page_worker):
    spec = {
        "hyperparameters": {"epochs": 60, "batch_size": 8, "engine": "stock"},
        "callbacks": {"early_stopping": None},
    }
    job_id = posted(page_api, name="watched", **spec)
    with visitor.page() as page:
        opened(page, job_id)
        page.get_by_role("img", name=re.compile(r"Chart\. val_accuracy best .* last .* at epoch \d+")).wait_for()
        page.get_by_role("button", name="Cancel").wait_for()
        early = page.locator(".chart-caption").first.inner_text()
        page.wait_for_function("before => document.querySelector('.chart-caption').textContent !== before", arg=early)
        page.locator("#status", has_text="Succeeded").wait_for(timeout=60_000)
        page.get_by_text("at epoch 60").first.wait_for()
        page.get_by_text("It ran all 60 epochs").or_(page.locator("#explanation", has_text="60")).first.wait_for()
        assert page.locator("#events li").last.inner_text().count("succeeded") >= 0
        assert page.get_by_role("button", name="Cancel").count() == 0
        page.locator("#ledger", has_text="Learning").wait_for()
        # Every epoch came once, although the page was open while they came.
        told = page.locator("#events li", has_text=re.compile(r"^\S+\s*epoch\s*epoch \d+ of 60"))
        assert told.count() == 60


def test_with_the_event_stream_blocked_it_still_moves(visitor, page_api, page_worker):
    spec = {
        "hyperparameters": {"epochs": 60, "batch_size": 8, "engine": "stock"},
        "callbacks": {"early_stopping": None},
    }
    job_id = posted(page_api, name="unstreamed", **spec)
    with visitor.page() as page:

        def without_streams(route):
            is_stream = "text/event-stream" in route.request.headers.get("accept", "")
            route.abort() if is_stream else route.continue_()

        page.route("**/events*", without_streams)
        opened(page, job_id)
        page.locator("#status", has_text="Succeeded").wait_for(timeout=60_000)
        page.get_by_text("at epoch 60").first.wait_for()
    # The browser says of each request that was blocked that it failed.
    assert all("net::ERR_FAILED" in words for words in visitor.complaints)
    visitor.complaints.clear()


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
        assert "cannot be known" in page.locator(".patience-text").inner_text()
        assert facts(page)["stops-at-epoch"] is None
        page.get_by_role("button", name="As it was").click()
        assert facts(page)["stops-at-epoch"] == finished["stop"]["last_epoch"]


def test_the_model_that_is_fetched_is_the_one_of_the_manifest(visitor, page_api, finished, tmp_path):
    [best] = [one for one in page_api.ask("GET", f"/jobs/{finished['id']}/checkpoints").json["data"] if one["is_best"]]
    with visitor.page() as page:
        opened(page, finished["id"])
        assert page.locator("#checkpoints code", has_text=best["sha256"]).count() == 1
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


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 800), PHONE], ids=["desk", "phone"])
def test_everybody_can_read_it(visitor, finished, theme, size):
    with visitor.page(size=size, theme=theme) as page:
        opened(page, finished["id"])
        page.locator("#checkpoints table").wait_for()
        page.locator("#explanation:not(:empty)").wait_for()
        page.locator("#marks-key li").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        assert serious_faults(page) == []


def test_the_marks_tell_what_happened_on_the_way(visitor, page_volume):
    job = interrupted_job(page_volume)
    with visitor.page() as page:
        opened(page, job.id)
        page.get_by_text("val_accuracy best 0.8000 at epoch 14, last 0.7000 at epoch 24").wait_for()
        page.get_by_text("fell once from 0.001").wait_for()
        kinds = page.locator("#marks-key").get_attribute("data-kinds").split(",")
        assert kinds == ["best", "drop", "checkpoint", "interruption", "stop"]
        assert "Redone" in page.locator("#ledger").inner_text()


def test_a_chart_is_a_table_too(visitor, page_volume):
    job = interrupted_job(page_volume)
    with visitor.page() as page:
        opened(page, job.id)
        figure = page.locator("figure", has=page.get_by_role("heading", name="accuracy", exact=True))
        figure.get_by_role("button", name="Table").click()
        rows = figure.locator("tbody tr")
        assert rows.count() == 24
        assert rows.nth(13).inner_text().split() == ["14", "0.8200", "0.8000"]
        figure.get_by_role("button", name="Table").click()
        figure.locator("canvas").wait_for()


def test_a_drag_zooms_all_charts_and_a_double_click_shows_all_again(visitor, page_volume):
    job = interrupted_job(page_volume)
    with visitor.page() as page:
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


def test_how_it_is_looked_at_survives_a_reload(visitor, page_volume):
    job = interrupted_job(page_volume)
    with visitor.page() as page:
        opened(page, job.id)
        page.get_by_role("button", name="Log", exact=True).click()
        page.get_by_role("button", name="Time", exact=True).click()
        page.get_by_label("Smoothing").fill("0.6")
        page.get_by_text("(smoothed 0.").first.wait_for()
        page.reload()
        page.get_by_text("(smoothed 0.").first.wait_for()
        for name in ("Log", "Time"):
            assert page.get_by_role("button", name=name, exact=True).get_attribute("aria-pressed") == "true"


def test_what_cannot_lie_on_a_logarithmic_axis_breaks_nothing(visitor, page_volume):
    for curve in [[0.0, 0.0, 0.0], [0.5], [None, None], [-1.0, 0.0, 2.0], [0.3, 0.3]]:
        job = trained(page_volume, curve)
        with visitor.page() as page:
            opened(page, job.id, "?y=log&smoothing=0.5")
            page.get_by_text(re.compile("val_accuracy(:| best)")).first.wait_for()
            page.locator("#great-chart canvas").wait_for()


def test_thousands_of_epochs_are_sampled_and_it_says_so(visitor, page_volume):
    job = long_job(page_volume)
    with visitor.page() as page:
        opened(page, job.id)
        page.get_by_text(re.compile(r"of 5,000 points shown, sampled")).wait_for()
        page.get_by_text("the last 500 of").wait_for()
        assert page.locator("#events li").count() <= 500


def test_events_stay_where_somebody_reads_them(visitor, page_volume):
    job = long_job(page_volume, 100)
    with visitor.page() as page:
        opened(page, job.id)
        page.locator("#events li", has_text="epoch 100").wait_for()
        page.wait_for_function(
            "() => [document.querySelector('#events')].every("
            "one => one.scrollTop + one.clientHeight >= one.scrollHeight - 2)"
        )
        page.locator("#events").evaluate("list => { list.scrollTop = 40; }")
        page.get_by_role("button", name="To the newest").wait_for()
        page.get_by_label("epochs", exact=True).uncheck()
        page.locator("#events li", has_text="epoch 100").wait_for(state="detached")


def test_what_can_be_done_follows_the_state_and_the_key(visitor, page_api, page_volume, finished):
    reader = page_api.ask("POST", "/keys", {"name": "reader", "scope": "read"}).json["key"]
    with visitor.page() as page:
        opened(page, finished["id"])
        names = page.locator("#actions").get_by_role("button").all_inner_texts()
        assert names == ["Extend", "Delete"]
        assert (
            page.get_by_role("link", name="Post again with changes").get_attribute("href")
            == f"/page/new?like={finished['id']}"
        )
    with visitor.page(key=reader) as page:
        opened(page, finished["id"])
        page.locator("#checkpoints table").wait_for()
        assert page.locator("#actions *").count() == 0


def test_a_running_job_is_cancelled_tried_anew_and_deleted(visitor, page_api, page_worker):
    job_id = posted(page_api, name="too long", hyperparameters={"epochs": 100_000}, callbacks={"early_stopping": None})
    with visitor.page() as page:
        opened(page, job_id)
        page.get_by_role("button", name="Cancel").click()
        page.get_by_role("button", name="No").click()
        assert page_api.ask("GET", f"/jobs/{job_id}").json["cancel_requested_at"] is None
        page.get_by_role("button", name="Cancel").click()
        page.get_by_role("button", name="Cancel the job").click()
        page.locator("#status", has_text="Cancelled").wait_for()
        page.get_by_role("button", name="Retry").click()
        page.wait_for_url(lambda url: job_id not in url)
        page.get_by_role("link", name=job_id).wait_for()
        page.get_by_role("button", name="Cancel").click()
        page.get_by_role("button", name="Cancel the job").click()
        page.locator("#status", has_text="Cancelled").wait_for()
        page.goto(f"/page/jobs/{job_id}")
        page.get_by_role("button", name="Delete").click()
        page.get_by_role("button", name="Delete the job").click()
        page.wait_for_url(f"{visitor.url}/")
    assert page_api.ask("GET", f"/jobs/{job_id}").status == 404


def test_an_extension_is_posted_as_it_was_asked_for(visitor, finished):
    asked = []

    def answer(route):
        asked.append(json.loads(route.request.post_data))
        if len(asked) == 1:
            problem = {
                "status": 422,
                "detail": "no",
                "errors": [{"pointer": "#/epochs", "detail": "too few", "code": "x"}],
            }
            route.fulfill(status=422, json=problem)
        else:
            route.fulfill(status=202, json={"id": finished["id"]})

    with visitor.page() as page:
        page.route("**/extend", answer)
        opened(page, finished["id"])
        page.get_by_role("button", name="Extend").click()
        page.get_by_label("Up to epoch").fill("500")
        page.get_by_label("Patience", exact=True).last.fill("20")
        page.get_by_label("Go on from").select_option("best")
        page.get_by_role("dialog").get_by_role("button", name="Extend").click()
        page.get_by_text("#/epochs too few").wait_for()
        page.get_by_label("At most GPU seconds").fill("12.5")
        with page.expect_navigation():
            page.get_by_role("dialog").get_by_role("button", name="Extend").click()
    first = {"epochs": 500, "from": "best", "early_stopping": {"patience": 20}}
    assert asked == [first, {**first, "budget": {"max_gpu_seconds": 12.5}}]
    # The browser's own word on the 422.
    visitor.complaints.clear()


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
