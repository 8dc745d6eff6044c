"""Watching: order of events, the end, a lost service, a detach."""

import json
import signal

import pytest

from fitstop.client import Client
from fitstop.connection import Connection
from fitstop.errors import NotFound, Unreachable
from fitstop.terminal.follow import follow
from fitstop.terminal.watch import event_line, watch


def event(number, message, kind="epoch"):
    time = "2026-11-23T19:12:00.000Z"
    return {
        "id": f"1:{number}",
        "attempt": 1,
        "time": time,
        "type": kind,
        "level": "info",
        "message": message,
        "data": {},
    }


@pytest.fixture
def script(canned, make_job, make_page):
    """Make a job go through the given states, one for each look, with one event more each time."""

    def play(*states):
        looks = iter(states)
        seen = {"count": 0, "state": None}

        def look(asked):
            seen["state"] = next(looks)
            if seen["state"] in {"away", "failing"}:
                return (None, None) if seen["state"] == "away" else (503, {"title": "Not now"})
            seen["count"] += 1
            stop = {"reason": "epochs_completed", "last_epoch": seen["count"]}
            more = {"stop": stop} if seen["state"] == "succeeded" else {"queue_position": 2}
            return 200, make_job(1, seen["state"], **more)

        def events(asked):
            after = int((asked.query.get("after") or "1:0").partition(":")[2])
            fresh = [event(number, f"event {number}") for number in range(after + 1, seen["count"] + 1)]
            return 200, make_page(*fresh[:1], has_more=len(fresh) > 1, next=fresh[0]["id"] if fresh else f"1:{after}")

        canned.on("GET", f"/jobs/{make_job(1)['id']}", look)
        canned.on("GET", f"/jobs/{make_job(1)['id']}/events", events)
        return make_job(1)["id"]

    return play


def test_every_event_comes_once_and_the_last_moment_is_the_end(script, canned):
    job_id = script("queued", "running", "running", "succeeded")
    with Client(Connection(canned.url)) as client:
        moments = list(follow(client, job_id, look_seconds=0))
    assert [one["message"] for moment in moments for one in moment.events] == [f"event {n}" for n in range(1, 5)]
    assert [moment.job["status"] for moment in moments] == ["queued", "running", "running", "succeeded"]


def test_a_lost_service_is_said_and_waited_for(script, canned):
    job_id = script("running", "away", "failing", "away", "succeeded")
    with Client(Connection(canned.url)) as client:
        moments = list(follow(client, job_id, look_seconds=0))
    assert [bool(moment.trouble) for moment in moments] == [False, True, True, True, False]
    assert moments[2].job["status"] == "running"
    assert [one["message"] for moment in moments for one in moment.events] == ["event 1", "event 2"]


def test_a_service_that_stays_away_is_given_up_and_one_that_never_answered_at_once(script, canned):
    job_id = script("running", *["away"] * 1000)
    with Client(Connection(canned.url)) as client:
        moments = follow(client, job_id, look_seconds=0, lost_seconds=0.05)
        assert next(moments).job["status"] == "running"
        with pytest.raises(Unreachable):
            list(moments)
    with Client(Connection("http://127.0.0.1:1")) as client, pytest.raises(Unreachable):
        next(follow(client, job_id))


def test_an_unknown_job_is_not_waited_for(canned):
    with Client(Connection(canned.url)) as client, pytest.raises(NotFound):
        next(follow(client, "job_unknown"))


def test_watch_on_a_pipe_prints_one_line_for_each_event_and_ends_with_the_jobs_status(fitstop, script, monkeypatch):
    monkeypatch.setattr("fitstop.terminal.follow.time.sleep", lambda seconds: None)
    result = fitstop("watch", script("queued", "running", "away", "succeeded"))
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "queued, number 2 in the queue"
    assert [line[10:] for line in lines[1:3]] == ["event 1", "event 2"]
    assert "trying again" in lines[3]
    assert lines[4] == "connected again"
    assert lines[-1] == "succeeded: all 3 epochs completed"


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_job_that_did_not_succeed_ends_the_watch_with_1(fitstop, script, status):
    assert fitstop("watch", script(status)).exit_code == 1


def test_submit_and_watch_ends_like_the_job(fitstop, script, canned, make_job):
    script("failed")
    canned.on("POST", "/jobs", make_job(1, "queued"), 202)
    result = fitstop("submit", "--set", "a=1", "--watch")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[0] == make_job(1)["id"]


def test_submit_and_watch_as_json_is_one_document_the_job_as_it_ended(fitstop, script, canned, make_job):
    script("running", "failed", "failed")
    canned.on("POST", "/jobs", make_job(1, "queued"), 202)
    result = fitstop("submit", "--set", "a=1", "--watch", "-o", "json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["status"] == "failed"


def test_ctrl_c_detaches_and_says_how_to_come_back(fitstop, script, monkeypatch):
    def interrupt(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr("fitstop.terminal.follow.time.sleep", interrupt)
    job_id = script("running")
    result = fitstop("watch", job_id)
    assert result.exit_code == 0
    assert f"fitstop watch {job_id}" in result.stderr
    assert f"fitstop cancel {job_id}" in result.stderr


def test_an_event_is_shown_literally():
    assert event_line(event(1, "[red]x\x1b[2J")).plain[10:] == r"[red]x\x1b[2J"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_ctrl_c_that_python_drops_inside_a_finalizer_is_heard_at_the_next_look(canned, make_job, make_page):
    class Finalized:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    looks = []

    def look(asked):
        looks.append("look")
        return 200, make_job(1, "running")

    canned.on("GET", f"/jobs/{make_job(1)['id']}", look)
    canned.on("GET", f"/jobs/{make_job(1)['id']}/events", lambda asked: (200, make_page()))
    with Client(Connection(canned.url)) as client:

        def events(job_id, after=None):
            del_me = Finalized()
            del del_me
            assert len(looks) < 10, "the Ctrl-C was lost"
            return {"data": [], "has_more": False, "next": None}

        client.events = events
        with pytest.raises(KeyboardInterrupt):
            watch(client, make_job(1)["id"])
    assert looks == ["look"]
