"""Idempotency-Key: one job for any number of equal posts, whatever happens between them."""

import errno
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

import api.jobs.post
from api import create_app
from api.jobs.once import record_file, remove_old
from api.state.service import Service
from shared.resolve import resolve
from tests.support.jobs import small_spec
from tests.support.keys import authorized
from tests.unit.shared.crash import dying_at

pytestmark = pytest.mark.both_stores


def post(client, key, **parts):
    return client.post("/jobs", json=small_spec(**parts), headers={"Idempotency-Key": key})


def markers(volume):
    return [marker.job_id for marker in volume.open_jobs()]


def test_a_post_that_is_repeated_is_one_job(client, volume, grades):
    first = post(client, "one")
    again = post(client, "one")
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json == first.json
    assert again.headers["Location"] == first.headers["Location"]
    assert volume.job_ids() == markers(volume) == [first.json["id"]]


@pytest.mark.folder_only("counts what the API computes")
def test_a_post_is_resolved_once_and_a_repeated_one_not_at_all(client, grades, monkeypatch):
    resolved = []
    monkeypatch.setattr(
        api.jobs.post, "resolve", lambda *given, **more: (resolved.append(given), resolve(*given, **more))[1]
    )
    post(client, "one")
    assert len(resolved) == 1
    post(client, "one")
    assert len(resolved) == 1


def test_without_a_key_every_post_is_a_job(client, volume, grades):
    for _ in range(2):
        assert client.post("/jobs", json=small_spec()).status_code == 202
    assert len(volume.job_ids()) == 2
    assert not (volume.root / "idempotency").exists()


def test_a_hundred_at_once_on_two_hosts_make_one_job(settings, volume, grades):
    hosts = create_app(settings), create_app(settings)
    clients = [authorized(hosts[number % 2]) for number in range(100)]
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda client: post(client, "one"), clients))
    assert {answer.status_code for answer in answers} == {202}
    # Queue positions differ: each post has its own marker in the queue until it sees that another post was first.
    said = [{key: value for key, value in answer.json.items() if key != "queue_position"} for answer in answers]
    assert all(one == said[0] for one in said)
    assert volume.job_ids() == markers(volume) == [answers[0].json["id"]]


def test_killed_at_any_change_of_the_volume_a_repeated_post_is_still_one_job(client, volume, grades):
    post(client, "sweep-of-this-hour")
    seen = set()
    for change in count(1):
        before = set(volume.job_ids())
        answer = None
        with dying_at(change):
            answer = post(client, f"key-{change}")
        seen.add(len(set(volume.job_ids()) - before))
        again, third = post(client, f"key-{change}"), post(client, f"key-{change}")
        assert again.status_code == 202
        assert again.json == third.json
        assert set(volume.job_ids()) - before == {again.json["id"]}
        assert markers(volume).count(again.json["id"]) == 1
        if answer is not None:
            assert answer.json == again.json
            break
    assert change > 12, "record, marker and spec are each several changes"
    assert seen == {0, 1}, "some died before the job was stored, some after"


def test_another_body_under_the_same_key_is_422_and_stores_nothing(client, volume, grades):
    first = post(client, "one")
    answer = post(client, "one", hyperparameters={"epochs": 5})
    assert (answer.status_code, answer.json["code"]) == (422, "idempotency_key_reused")
    assert volume.job_ids() == [first.json["id"]]
    reordered = dict(reversed(small_spec().items()))
    same = client.post("/jobs", data=json.dumps(reordered, indent=1), headers={"Idempotency-Key": "one"},
                       content_type="application/json")  # fmt: skip
    assert same.json["id"] == first.json["id"]


def test_a_refused_post_leaves_its_key_free(client, grades):
    assert post(client, "one", hyperparameters={"epochs": 0}).status_code == 422
    assert post(client, "one").status_code == 202


def test_a_repeated_post_is_answered_when_its_data_is_gone(client, volume, grades):
    first = post(client, "one")
    (volume.dataset_folder("grades") / "dataset.json").unlink()
    assert post(client, "one").json == first.json


def test_each_api_key_has_its_own(app, client, grades):
    other = authorized(app, Service.of(app).keys.create("other", "write")[1])
    assert post(client, "one").json["id"] != post(other, "one").json["id"]


def test_with_and_without_quotes_it_is_the_same_key(client, grades):
    assert post(client, '"8e03978e-40d5"').json["id"] == post(client, "8e03978e-40d5").json["id"]


@pytest.mark.folder_only("a key that is none reaches neither")
@pytest.mark.parametrize("key", ["", " ", "a b", '"', '""', '"a', 'a"b', '"a", "b"', "a,b", "x" * 256, "\xe9", "a\tb"])
def test_a_key_that_is_none_is_400(client, volume, grades, key):
    answer = post(client, key)
    assert (answer.status_code, answer.json["code"]) == (400, "bad_idempotency_key")
    assert volume.job_ids() == []


def test_a_record_is_kept_for_a_day_and_then_swept(client, volume, grades):
    first = post(client, "one")
    file = record_file(volume, "key_environment", "one")
    record = json.loads(file.read_text())
    remove_old(volume)
    assert post(client, "one").json == first.json
    file.write_text(json.dumps({**record, "created_at": "2026-01-01T00:00:00.000Z"}))
    remove_old(volume)
    assert post(client, "one").json["id"] != first.json["id"]


def test_the_sweep_takes_the_marker_of_a_job_that_nobody_stored_and_no_other(client, volume, grades):
    stored = post(client, "stored").json["id"]
    with dying_at(12):
        post(client, "died")
    [half] = set(markers(volume)) - {stored}
    remove_old(volume, kept_seconds=-1)
    assert markers(volume) == [stored]
    assert volume.job(half) is None
    assert list((volume.root / "idempotency").glob("*/*.json")) == []


@pytest.mark.folder_only("starts no thread, so that no server would answer")
def test_the_first_record_of_an_hour_sweeps_in_a_thread(client, volume, grades, monkeypatch):
    started = []
    monkeypatch.setattr(threading.Thread, "start", lambda thread: started.append(thread.name))
    for key in ("one", "two"):
        post(client, key)
    assert started == ["fitstop-old-records"]
    [turn] = (volume.root / "idempotency").glob("swept-*")
    turn.rename(turn.with_name("swept-2026-01-01T00"))
    post(client, "three")
    assert len(started) == 2
    assert [one.name for one in (volume.root / "idempotency").glob("swept-*")] == [turn.name]


@pytest.mark.folder_only("a bucket is never full")
def test_a_full_volume_leaves_the_key_usable(client, volume, grades, monkeypatch):
    link = os.link
    # The record and the marker are created, the spec is not.
    turns = iter([link, None])

    def full(source, target):
        turn = next(turns, link)
        if turn is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        turn(source, target)

    post(client, "sweep-of-this-hour")
    monkeypatch.setattr(os, "link", full)
    assert post(client, "one").status_code == 507
    assert len(client.get("/jobs").json["data"]) == 1
    answer = post(client, "one")
    assert answer.status_code == 202
    [listed] = client.get("/jobs?limit=1").json["data"]
    assert {**listed, "ledger": answer.json["ledger"], "resume": answer.json["resume"]} == answer.json
    assert markers(volume) == sorted(volume.job_ids())
