"""POST, GET and DELETE /webhooks: what is accepted, what is shown, and what is never shown."""

import base64
import os
import time

import pytest

from api.state.deliveries import Delivery, Journal, journal_file
from api.state.service import Service
from api.state.webhook_store import SENDER_SECONDS
from api.webhooks.views import MOST_OF_A_PROJECT
from shared.times import utc_now
from tests.support.webhooks import SECRET, put_webhook

ASKED = {"address": "https://user:pass@example.com:8443/hidden?token=x", "events": ["job.failed", "job.failed"]}


def test_a_secret_and_an_address_are_never_shown_again(app, client):
    made = client.post("/webhooks", json={**ASKED, "name": "ci"})
    assert made.status_code == 201
    assert len(base64.b64decode(made.json["secret"].removeprefix("whsec_"))) == 32
    assert made.json["address"] == "https://example.com:8443/…"
    assert made.json["events"] == ["job.failed"]
    place = made.headers["Location"]
    for answer in (client.get("/webhooks"), client.get(place)):
        assert "whsec_" not in answer.text
        assert not [word for word in ("hidden", "pass", "token") if word in answer.text]
    assert client.delete(place).status_code == 204
    assert client.delete(place).status_code == 404
    assert client.get("/webhooks").json["data"] == []
    assert [path.name for path in Service.of(app).webhooks.folder.iterdir()] == []


def test_webhooks_are_kept_where_no_worker_reads(app, client):
    client.post("/webhooks", json=ASKED)
    service = Service.of(app)
    assert not service.webhooks.folder.is_relative_to(service.volume.root)
    assert not [path for path in service.volume.root.rglob("*") if path.is_file() and b"whsec_" in path.read_bytes()]


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://example.com/", "expected https"),
        ("https://", "has no host"),
        ("https://127.0.0.1/", "not a public address"),
        ("https://[::1]/", "not a public address"),
        ("https://169.254.169.254/latest", "not a public address"),
        ("https://[::ffff:10.0.0.1]/", "not a public address"),
        ("https://example.com:99999/", "not an address"),
        ("no-such-service://token", "Apprise"),
        ("plain words", "Apprise"),
    ],
)
def test_an_address_that_cannot_be_one_is_refused(client, address, words):
    answer = client.post("/webhooks", json={**ASKED, "address": address})
    assert answer.status_code == 422
    (problem,) = answer.json["errors"]
    assert (problem["pointer"], words in problem["detail"]) == ("#/address", True)


def test_every_problem_of_a_body_is_named(client):
    answer = client.post(
        "/webhooks", json={"address": "", "events": ["job.done"], "secret": "mine", "metadata": {"": 1}}
    )
    assert answer.status_code == 422
    assert {one["pointer"] for one in answer.json["errors"]} >= {"#/address", "#/events/0", "#/secret"}
    assert client.post("/webhooks", json={**ASKED, "events": []}).status_code == 422


def test_an_apprise_address_has_no_secret_and_is_masked(client):
    made = client.post("/webhooks", json={**ASKED, "address": "ntfys://token@ntfy.example.com/jobs"})
    assert made.status_code == 201
    assert (made.json["kind"], made.json["secret"], made.json["address"]) == ("apprise", None, "ntfys://…")


def test_a_test_waits_for_the_sender_and_is_shown(app, client):
    webhook = put_webhook(Service.of(app).webhooks)
    asked = client.post(f"/webhooks/{webhook.id}/test")
    assert (asked.status_code, asked.json["status"], asked.json["tries"]) == (202, "pending", 0)
    shown = client.get(f"/webhooks/{webhook.id}").json["deliveries"]
    assert [one["id"] for one in shown] == [asked.json["id"]]
    for _ in range(9):
        client.post(f"/webhooks/{webhook.id}/test")
    assert client.post(f"/webhooks/{webhook.id}/test").status_code == 409


def test_the_last_state_of_a_delivery_is_shown(app, client):
    webhook = put_webhook(Service.of(app).webhooks)
    journal = Journal(journal_file(Service.of(app).webhooks.place(webhook.id)))
    first, second = (
        Delivery(id=name, type="test", job=None, body={"secret": SECRET}, created_at=utc_now()) for name in ("a", "b")
    )
    journal.rewrite([first, second])
    journal.append([first.model_copy(update={"status": "delivered", "tries": 1, "answer": 204})])
    journal.close()
    shown = client.get(f"/webhooks/{webhook.id}")
    assert [(one["id"], one["status"]) for one in shown.json["deliveries"]] == [("a", "delivered"), ("b", "pending")]
    assert SECRET not in shown.text


def test_a_project_has_a_limited_number_of_webhooks(app, client):
    for _ in range(MOST_OF_A_PROJECT):
        put_webhook(Service.of(app).webhooks)
    assert client.post("/webhooks", json=ASKED).status_code == 409


def test_a_sender_that_does_not_run_is_reported_where_webhooks_exist(app, client):
    def look():
        return client.get("/readyz").json["checks"]["webhooks"]["ok"], client.get("/webhooks").json["has_sender"]

    store = Service.of(app).webhooks
    assert look() == (True, False)
    put_webhook(store)
    assert look() == (False, False)
    store.show_sender()
    assert look() == (True, True)
    (shown,) = (store.folder / "senders").iterdir()
    os.utime(shown, (0, time.time() - SENDER_SECONDS - 1))
    assert look() == (False, False)
