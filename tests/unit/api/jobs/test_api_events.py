"""GET /jobs/{id}/events, as pages and as a stream, and GET /jobs/{id}/epochs."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import create_app
from api.state.service import Service
from shared.events import Cursor, Event, EventWriter
from shared.job import AttemptEnd, Ending
from shared.times import utc_now
from tests.support.jobs import claim
from tests.support.keys import authorized

STREAM = {"Accept": "text/event-stream"}


def write(attempt, *events):
    with EventWriter(attempt.events_file) as writer:
        writer.write(events)


def epoch(number, loss=0.5):
    shown = {"epoch": number, "metrics": {"loss": loss}, "learning_rate": 0.1, "seconds": 0.5}
    return Event(
        "epoch", f"epoch {number}", {**shown, "epochs": 9, "best": None, "early_stopping": None, "reduce_lr": None}
    )


def lose(attempt):
    attempt.close(AttemptEnd(outcome="lost", ended_at=utc_now()))


@pytest.fixture
def told(job):
    """A finished job of two attempts: epochs 1 to 3, then 3 to 4 again, and a stop."""
    first = claim(job, 1)
    write(first, epoch(1, 0.9), epoch(2, 0.8), epoch(3, 0.7))
    lose(first)
    second = claim(job, 2)
    write(second, Event("state", "resumed\nafter a loss", {}), epoch(3, 0.6), epoch(4, 0.5))
    write(second, Event("stop", "stopped: epochs completed", {}, level="warning"))
    job.settle(Ending(status="succeeded"), attempt=2)
    return job


def stream(client, path, headers=STREAM):
    """Return the whole stream of a finished job, already closed."""
    return client.get(path, headers=headers, buffered=True)


def frames(answer):
    """Return the stream's frames as dictionaries of their fields."""
    found = []
    for block in answer.get_data(as_text=True).split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line and not line.startswith(":"))
        if "data" in fields:
            found.append({**fields, "data": json.loads(fields["data"])})
    return found


def test_events_come_in_pages_behind_a_cursor(client, told):
    whole = client.get(f"/jobs/{told.id}/events").json
    paged, after = [], "0:0"
    while True:
        page = client.get(f"/jobs/{told.id}/events?limit=2&after={after}").json
        paged += page["data"]
        after = page["next"]
        if not page["has_more"]:
            break
    assert paged == whole["data"]
    assert [event["type"] for event in paged] == ["epoch"] * 3 + ["state", "epoch", "epoch", "stop"]
    assert [event["attempt"] for event in paged] == [1] * 3 + [2] * 4
    assert (paged[-1]["level"], paged[-1]["id"]) == ("warning", whole["next"])


def test_a_page_behind_the_last_event_is_empty_and_keeps_the_cursor(client, told):
    end = client.get(f"/jobs/{told.id}/events").json["next"]
    assert client.get(f"/jobs/{told.id}/events?after={end}").json == {
        "object": "list",
        "data": [],
        "has_more": False,
        "next": end,
    }


def test_an_event_of_a_newer_version_is_sent_as_it_was_written(client, job):
    write(claim(job), Event("note", "what is new", {"more": 1}, level="notice"))
    [sent] = client.get(f"/jobs/{job.id}/events").json["data"]
    assert (sent["type"], sent["level"], sent["data"]) == ("note", "notice", {"more": 1})


def test_a_torn_last_line_is_not_there_yet(client, job):
    attempt = claim(job)
    write(attempt, epoch(1))
    with attempt.events_file.open("ab") as file:
        file.write(b'{"time": "')
    assert len(client.get(f"/jobs/{job.id}/events").json["data"]) == 1


@pytest.mark.parametrize("after", ["x", "1", "1:", "-1:0", "1:x", "1:" + "9" * 30, "1:-5", "1:1:1"])
def test_a_cursor_that_no_event_has_is_422(client, job, after):
    claim(job)
    answer = client.get(f"/jobs/{job.id}/events?after={after}")
    assert (answer.status_code, answer.json["errors"][0]["pointer"]) == (422, "#/query/after")
    again = client.get(f"/jobs/{job.id}/events", headers={**STREAM, "Last-Event-ID": after})
    assert again.status_code == 422


@given(st.integers(0, 10**9), st.integers(0, 10**15))
def test_a_cursor_survives_being_written(attempt, offset):
    assert Cursor.parse(str(Cursor(attempt, offset))) == Cursor(attempt, offset)


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html", ""])
def test_json_is_the_answer_unless_a_stream_is_asked_for(client, told, accept):
    assert client.get(f"/jobs/{told.id}/events", headers={"Accept": accept}).mimetype == "application/json"


def test_a_stream_holds_every_event_and_ends_with_a_job_that_is_over(client, told):
    answer = stream(client, f"/jobs/{told.id}/events")
    assert answer.mimetype == "text/event-stream"
    assert (answer.headers["Cache-Control"], answer.headers["X-Accel-Buffering"]) == ("no-store", "no")
    assert answer.get_data(as_text=True).startswith(": connected\nretry: 2000\n\n")
    found = frames(answer)
    assert [frame["data"] for frame in found[:-1]] == client.get(f"/jobs/{told.id}/events").json["data"]
    assert [frame["id"] for frame in found[:-1]] == [frame["data"]["id"] for frame in found[:-1]]
    assert (found[-1]["event"], found[-1]["data"]) == ("end", {"status": "succeeded"})


def test_a_stream_that_was_cut_goes_on_behind_its_last_event(client, told):
    whole = frames(stream(client, f"/jobs/{told.id}/events"))
    for cut in range(len(whole) - 1):
        headers = {**STREAM, "Last-Event-ID": whole[cut]["id"]}
        assert frames(stream(client, f"/jobs/{told.id}/events?after=0:0", headers=headers)) == whole[cut + 1 :]


def test_the_stream_of_a_job_that_was_cancelled_in_the_queue_ends_at_once(client, job):
    client.post(f"/jobs/{job.id}/cancel")
    assert [frame["event"] for frame in frames(stream(client, f"/jobs/{job.id}/events"))] == ["end"]


def test_a_type_with_a_line_feed_stays_one_field(client, job):
    write(claim(job), Event("a\nid: 9:9", "x\ndata: y", {}))
    job.settle(Ending(status="failed"), attempt=1)
    first = frames(stream(client, f"/jobs/{job.id}/events"))[0]
    assert (first["event"], first["data"]["message"]) == ("a id: 9:9", "x\ndata: y")


def test_above_the_cap_a_stream_is_503_and_places_come_back(app, client, told):
    streams = Service.of(app).streams
    assert streams.acquire(blocking=False)
    assert streams.acquire(blocking=False)
    answer = stream(client, f"/jobs/{told.id}/events")
    assert (answer.status_code, answer.mimetype) == (503, "application/problem+json")
    assert int(answer.headers["Retry-After"]) > 0
    assert client.get(f"/jobs/{told.id}/events").status_code == 200
    streams.release()
    for _ in range(3):
        assert frames(stream(client, f"/jobs/{told.id}/events"))[-1]["event"] == "end"


def test_a_key_has_only_its_own_places_for_streams(settings, volume, told):
    app = create_app(settings.model_copy(update={"streams_per_key": 2, "max_streams": 5}))
    one, other = authorized(app), authorized(app, Service.of(app).keys.create("other", "read")[1])
    streams = [one.get(f"/jobs/{told.id}/events", headers=STREAM) for _ in range(2)]
    refused = stream(one, f"/jobs/{told.id}/events")
    assert (refused.status_code, refused.json["code"]) == (429, "too_many_streams")
    assert "this key has 2 event streams" in refused.json["detail"]
    assert int(refused.headers["Retry-After"]) > 0
    assert frames(stream(other, f"/jobs/{told.id}/events"))[-1]["event"] == "end"
    for answer in streams:
        answer.close()
    for _ in range(3):
        assert frames(stream(one, f"/jobs/{told.id}/events"))[-1]["event"] == "end"


def test_a_client_that_leaves_before_the_first_frame_gives_its_place_back(client, job):
    for _ in range(5):
        client.get(f"/jobs/{job.id}/events", headers=STREAM).close()
    assert client.head(f"/jobs/{job.id}/events", headers=STREAM).status_code == 200


def test_a_stream_ends_when_its_process_is_asked_to(app, client, job):
    claim(job)
    Service.of(app).is_stopping = lambda: True
    assert frames(stream(client, f"/jobs/{job.id}/events")) == []


def test_of_an_epoch_that_was_trained_twice_the_later_row_stands(client, told):
    page = client.get(f"/jobs/{told.id}/epochs").json
    assert [(row["epoch"], row["metrics"]["loss"]) for row in page["data"]] == [(1, 0.9), (2, 0.8), (3, 0.6), (4, 0.5)]
    assert page["data"][0] == {"epoch": 1, "metrics": {"loss": 0.9}, "learning_rate": 0.1, "seconds": 0.5}
    assert not page["has_more"]


def test_epochs_come_in_pages(client, told):
    page = client.get(f"/jobs/{told.id}/epochs?after=1&limit=2").json
    assert ([row["epoch"] for row in page["data"]], page["has_more"]) == ([2, 3], True)


@pytest.mark.parametrize("path", ["events?limit=1001", "events?limit=0", "epochs?limit=10001", "epochs?after=-1"])
def test_a_page_out_of_range_is_422(client, job, path):
    assert client.get(f"/jobs/{job.id}/{path}").status_code == 422


def test_a_stream_with_nothing_to_say_keeps_its_connection_alive(client, job, monkeypatch):
    monkeypatch.setattr("api.jobs.event_stream._KEEP_ALIVE_SECONDS", 0.0)
    answer = client.get(f"/jobs/{job.id}/events", headers=STREAM)
    pieces = iter(answer.iter_encoded())
    assert next(pieces).startswith(b": connected")
    assert next(pieces) == b": keep-alive\n\n"
    job.settle(Ending(status="cancelled"), attempt=None)
    assert b"event: end" in b"".join(pieces)
    answer.close()
