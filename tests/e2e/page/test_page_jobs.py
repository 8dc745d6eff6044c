"""The table of jobs in a real browser."""

from shared.job import BudgetUsed, Ending, Stop
from shared.open_job import OpenJob
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


def test_epochs_that_a_budget_cut_off_are_not_called_unneeded(still):
    volume = still.api.volume
    job = put_job(volume, small_spec(hyperparameters={"epochs": 1000}))
    tell(claim(job), epoch(1, 0.5))
    used = BudgetUsed(kind="max_gpu_seconds", limit=5, used=4.9)
    job.settle(Ending(status="succeeded", stop=Stop(reason="budget", last_epoch=1, epochs_not_run=999, budget=used)), 1)
    volume.close_job(OpenJob(5, job.id))
    with still.page() as page:
        page.goto("/")
        row(page, job).get_by_text("budget used up").wait_for()
        assert "needed" not in row(page, job).inner_text()


def test_a_name_is_shown_literally_whatever_it_holds(still):
    job, _ = running(still.api.volume, name=EVIL, metadata={"team": EVIL})
    with still.page() as page:
        page.goto("/")
        row(page, job).locator("a.job-name").get_by_text("<img").wait_for()
        assert row(page, job).get_by_role("link").inner_text() == EVIL
        page.get_by_label("Search in names, or metadata").fill(EVIL.replace("=", "\u2009"))
        page.keyboard.press("Enter")
        page.get_by_text("No job matches the filters").wait_for()
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
        page.get_by_label("Search in names, or metadata").fill("team=cellar")
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


# Records how many rows are added to the table at once, with a clock by which each step is slow, so that few are.
NOTE_ROWS = """() => {
  const now = performance.now.bind(performance);
  let steps = 0;
  performance.now = () => now() + 3 * (steps += 1);
  window.came = [];
  const rows = (changes) => changes.flatMap((change) => [...change.addedNodes]).filter((node) => node.dataset?.job);
  const note = (changes) => came.push(rows(changes).length);
  new MutationObserver(note).observe(document, { childList: true, subtree: true });
}"""
# Records which rows changed, except for their ages, and separately whose curves changed.
NOTE_CHANGES = """() => {
  window.changed = { rows: new Set(), curves: new Set() };
  const note = ({ target }) => {
    const node = target.nodeType === Node.TEXT_NODE ? target.parentElement : target;
    const row = node?.closest("tr")?.dataset.job;
    if (!row || node.closest(".age")) return;
    changed[node.closest(".curve") ? "curves" : "rows"].add(row);
  };
  const everything = { attributes: true, characterData: true, childList: true, subtree: true };
  new MutationObserver((changes) => changes.forEach(note)).observe(document.querySelector("#rows"), everything);
}"""


def test_a_hundred_running_jobs_are_drawn_in_pieces_and_then_only_what_is_new(empty):
    """`make bench-page` measures the milliseconds; this test counts the work."""
    told = [running(empty.api.volume, epochs=30, name=f"job {number}") for number in range(100)]
    (below, below_attempt), (above, above_attempt) = told[0], told[-1]
    with empty.page() as page:
        page.add_init_script(f"({NOTE_ROWS})()")
        page.goto("/?limit=100")
        page.locator("tbody tr").nth(99).wait_for()
        assert sum(page.evaluate("came")) == 100
        assert max(page.evaluate("came")) <= 4
        row(page, above).locator(".curve polyline").wait_for()
        page.evaluate(NOTE_CHANGES)
        for attempt in (below_attempt, above_attempt):
            tell(attempt, epoch(31, 0.6))
        for job in (below, above):
            row(page, job).get_by_text("epoch 31", exact=True).wait_for(timeout=120_000)
        curve = row(page, below).locator(".curve polyline")
        assert page.evaluate("[...changed.curves]") == [above.id]
        assert curve.count() == 0, "nobody sees it yet"
        row(page, below).scroll_into_view_if_needed()
        curve.wait_for()
        # A forecast arrives a while after its epoch, a few of the hundred at each look.
        forecast = "[...document.querySelectorAll('.mark:not([hidden])')].map((one) => one.closest('tr').dataset.job)"
        assert set(page.evaluate("[...changed.rows]")) <= {above.id, below.id, *page.evaluate(forecast)}
