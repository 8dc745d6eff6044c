"""fitstop webhooks add, list, show, test, rm."""

import json

import pytest

from api.state.webhook_store import EVENT_TYPES
from fitstop.cli import webhooks

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def known(**values):
    return {
        "id": "webhook_000000000001", "name": None, "address": "https://example.com/…", "events": ["job.failed"],
        "created_at": "2026-11-23T19:12:00.000Z", **values,
    }  # fmt: skip


def delivery(**values):
    return {
        "id": "test_1", "type": "test", "job": None, "status": "delivered", "tries": 1, "answer": 204, "error": None,
        "last_try_at": "2026-11-23T19:12:00.000Z", **values,
    }  # fmt: skip


def test_the_secret_goes_to_stdout_alone_and_the_filters_to_the_service(canned, fitstop):
    canned.on("POST", "/webhooks", known(secret=SECRET), 201)
    done = fitstop("webhooks", "add", "https://example.com/x", "--event", "job.failed", "--metadata", "team=a=b")
    assert (done.exit_code, done.stdout) == (0, SECRET + "\n")
    assert "not shown again" in done.stderr
    sent = json.loads(canned.asked[0].body)
    assert sent == {"address": "https://example.com/x", "events": ["job.failed"], "metadata": {"team": "a=b"}}
    assert fitstop("webhooks", "add", "https://example.com/x", "--metadata", "team").exit_code == 2


def test_webhooks_and_deliveries_are_listed(canned, fitstop, make_page):
    canned.on("GET", "/webhooks", make_page(known(name="ci")))
    assert "https://example.com/…" in fitstop("webhooks", "list").stdout
    given_up = delivery(status="given_up", answer=500, error="answered 500", tries=34)
    canned.on("GET", "/webhooks/webhook_000000000001", known(deliveries=[given_up]))
    shown = fitstop("webhooks", "show", "webhook_000000000001").stdout
    assert "given_up" in shown
    assert "answered 500" in shown


@pytest.mark.parametrize(
    ("deliveries", "status", "words"),
    [
        ([delivery()], 0, "was delivered: answered 204"),
        ([delivery(status="given_up", answer=None, error="could not connect")], 1, "could not connect"),
        ([delivery(status="pending", tries=0)], 5, "see whether the sender runs"),
    ],
)
def test_a_test_waits_for_its_outcome(canned, fitstop, monkeypatch, deliveries, status, words):
    monkeypatch.setattr(webhooks, "_TEST_SECONDS", 1)
    canned.on("POST", "/webhooks/webhook_000000000001/test", delivery(status="pending", tries=0), 202)
    canned.on("GET", "/webhooks/webhook_000000000001", known(deliveries=deliveries))
    done = fitstop("webhooks", "test", "webhook_000000000001")
    assert (done.exit_code, words in done.stderr) == (status, True)


def test_the_command_knows_every_event_of_the_service():
    assert tuple(webhooks._EVENTS) == EVENT_TYPES
