"""A link that shows one job to people without a key, in a real browser."""

import pytest

from tests.e2e.page.past_jobs import finished_job
from tests.support.browser import DESKTOP, PHONE, serious_faults
from tests.support.epochs import epoch, tell
from tests.support.evaluations import classified, leave_evaluation
from tests.support.jobs import claim, put_job, small_spec


def make_link(api, job):
    return api.ask("POST", f"/jobs/{job.id}/shares", {}).json


@pytest.mark.parametrize(("size", "theme"), [(DESKTOP, "light"), (PHONE, "dark")])
def test_a_link_shows_the_whole_page_to_a_browser_without_a_key_and_offers_nothing_else(still, size, theme):
    job = finished_job(still.api.volume, 4, 0.8, name="lent")
    leave_evaluation(job.attempts()[0], "binary", classified(("a", "b"), [0, 1], [[0.9, 0.1], [0.2, 0.8]]))
    with still.page(size, theme, key=None) as page:
        refused = []
        page.on("response", lambda one: refused.append(one.url) if one.status >= 400 else None)
        page.goto(make_link(still.api, job)["url"])
        page.get_by_role("heading", name="lent").wait_for()
        page.locator(".chart-caption", has_text="at epoch 4").first.wait_for()
        page.get_by_role("region", name="Confusion matrix").wait_for()
        page.locator("#status", has_text="Succeeded").wait_for()
        page.locator("#explanation:not(:empty)").wait_for()
        page.locator("#checkpoints").get_by_text("No checkpoint was saved").wait_for()
        for name in ("Delete", "Extend", "Share", "Copy", "New job", "Jobs"):
            assert page.get_by_role("button", name=name).or_(page.get_by_role("link", name=name)).count() == 0, name
        assert page.locator("#output").is_hidden()
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        assert serious_faults(page) == []
        assert refused == []


def test_a_shared_job_moves_until_its_link_is_revoked_and_the_address_keeps_the_token(still):
    job = put_job(still.api.volume, small_spec(name="live", hyperparameters={"epochs": 1000}))
    attempt = claim(job)
    tell(attempt, epoch(1, 0.5))
    link = make_link(still.api, job)
    with still.page(key=None) as page:
        page.goto(link["url"])
        page.locator(".chart-caption", has_text="at epoch 1").first.wait_for()
        tell(attempt, epoch(2, 0.6))
        page.locator(".chart-caption", has_text="at epoch 2").first.wait_for()
        page.get_by_role("button", name="Log", exact=True).click()
        page.get_by_role("link", name="Skip to the content").press("Enter")
        assert page.evaluate("document.activeElement.id") == "content"
        assert page.url.endswith(f"?y=log#{link['token']}")
        page.reload()
        page.locator(".chart-caption", has_text="at epoch 2").first.wait_for()
        assert still.api.ask("DELETE", f"/jobs/{job.id}/shares/{link['id']}").status == 204
        page.get_by_text("This link is not valid").wait_for()
        page.reload()
        page.locator("#explanation", has_text="This link is not valid").wait_for()
        assert page.locator("#job").inner_text().startswith("This link is not valid"), "and no empty curves"
        assert "live" not in page.locator("main").inner_text()


def test_a_link_is_made_and_revoked_by_the_keyboard_alone(still):
    job = finished_job(still.api.volume, 4, 0.8)
    with still.page(PHONE, "dark") as page, still.page(key=None) as stranger:
        page.goto(f"/page/jobs/{job.id}")
        page.get_by_role("button", name="Share job").press("Enter")
        page.get_by_label("Days until the link expires").press("Enter")
        address = page.get_by_label("Link", exact=True).input_value()
        assert serious_faults(page) == []
        assert page.evaluate("getSelection().toString()") == address
        page.get_by_role("dialog", name="Link to this job").get_by_role("button", name="Close").press("Enter")
        page.get_by_role("list", name="Links").get_by_text("expires").wait_for()
        assert "fss_" not in page.content()
        stranger.goto(address)
        stranger.locator("#status", has_text="Succeeded").wait_for()
        page.get_by_role("button", name="Revoke link").press("Enter")
        page.get_by_role("button", name="Revoke link").wait_for(state="detached")
        page.keyboard.press("Escape")
        page.locator("dialog").wait_for(state="detached")
        assert page.evaluate("document.activeElement.textContent") == "Share job"
        token = {"Authorization": f"Bearer {address.partition('#')[2]}"}
        assert still.api.ask("GET", f"/jobs/{job.id}", **token).status == 401
