"""Notifications: the page of the webhooks, and the browser's notification on a job's page."""

from shared.job import Ending, Stop
from tests.support.browser import PHONE, answer_now, hold_back, serious_faults
from tests.support.jobs import claim, put_job, small_spec
from tests.support.keys import ADMIN_KEY
from tests.support.waiting import wait_for

NOTIFICATION = """
window.shown = [];
window.Notification = class extends EventTarget {
  static async requestPermission() { return "granted"; }
  constructor(title, { body }) { super(); window.shown.push([title, body]); }
};
"""


def test_a_webhook_is_added_tested_and_deleted_and_its_secret_is_shown_once(empty):
    with empty.page(PHONE, "dark", ADMIN_KEY) as page:
        page.goto("/page/webhooks")
        page.get_by_role("button", name="Add webhook").click()
        page.get_by_label("Address").fill("https://")
        page.keyboard.press("Enter")
        page.get_by_text("Address: has no host").wait_for()
        assert serious_faults(page) == []
        page.get_by_label("Address").fill("https://example.com/secret-path")
        page.get_by_label("Cancelled").check()
        page.keyboard.press("Enter")
        assert page.get_by_label("Secret", exact=True).input_value().startswith("whsec_")
        page.get_by_role("button", name="Close", exact=True).click()
        page.locator("dialog").wait_for(state="detached")
        page.get_by_role("heading", name="https://example.com/…").wait_for()
        assert "whsec_" not in page.content()
        assert "secret-path" not in page.content()
        page.get_by_text("no sender is running").wait_for()
        page.get_by_role("button", name="Send test").click()
        page.get_by_role("cell", name="Waiting").wait_for()
        (made,) = empty.api.ask("GET", "/webhooks").json["data"]
        assert made["events"] == ["job.succeeded", "job.failed", "job.cancelled"]
        page.get_by_role("button", name="Delete webhook").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete webhook").click()
        page.get_by_text("No webhooks yet").wait_for()


def test_a_list_that_was_asked_for_earlier_does_not_take_a_new_webhook_off_the_page(empty):
    address = f"{empty.url}/webhooks"
    with empty.page() as page:
        held = hold_back(page, address, times=1)
        with page.expect_request(address):
            page.goto("/page/webhooks")
        page.get_by_role("button", name="Add webhook").click()
        page.get_by_label("Address").fill("mailto://somebody:secret@example.com")
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Delete webhook").wait_for()
        page.locator("#webhooks section").evaluate("node => { window.before = node; }")
        answer_now(page, address, held, json={"data": []})
        assert page.evaluate("before.isConnected")


def test_the_browser_notifies_when_the_job_ends_if_somebody_asked_for_it(still):
    job = put_job(still.api.volume, small_spec(name="one"))
    claim(job)
    with still.page() as page:
        page.add_init_script(NOTIFICATION)
        page.goto(f"/page/jobs/{job.id}")
        page.get_by_role("button", name="Notify me").click()
        page.get_by_role("button", name="Notifies you", pressed=True).wait_for()
        job.settle(Ending(status="succeeded", stop=Stop(reason="early_stopping", last_epoch=7)), 1)
        wait_for(lambda: page.evaluate("shown"), 30, 0.1, "a notification")
        assert page.evaluate("shown") == [["one has succeeded", "Stopped after epoch 7."]]
        assert page.get_by_role("button", name="Notif").count() == 0
