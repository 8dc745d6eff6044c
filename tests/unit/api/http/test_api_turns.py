"""Short answers take turns, first come, first served; nobody is kept behind one that hangs."""

import threading
from contextlib import contextmanager

import pytest

from api.http.turns import Turns
from tests.support.waiting import wait_for

JOB = "/jobs/job_01KBXW5T7N0000000000000000"


def in_a_thread(line, name, done):
    def run():
        with line.turn():
            done.append(name)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def test_turns_come_one_after_the_other_in_the_order_in_which_they_were_asked_for():
    line, done, threads = Turns(most_seconds=60), [], []
    with line.turn():
        for name in range(20):
            threads.append(in_a_thread(line, name, done))
            wait_for(lambda: len(line._waiting) == len(threads), 30, saying="the next one waits")
        assert done == []
    for thread in threads:
        thread.join(30)
    assert done == list(range(20))
    with line.turn():
        pass


def test_a_turn_that_never_ends_delays_the_others_and_stops_nobody():
    line, done = Turns(most_seconds=0.01), []
    with line.turn():
        in_a_thread(line, "beside", done).join(30)
        assert done == ["beside"]
    in_a_thread(line, "in turn", done).join(30)
    assert (done, line._is_taken, list(line._waiting)) == (["beside", "in turn"], False, [])


def test_a_turn_ends_with_an_error_too():
    line = Turns(most_seconds=60)
    with pytest.raises(OSError, match="away"), line.turn():
        raise OSError("away")
    assert not line._is_taken


@pytest.mark.parametrize(
    ("method", "path", "takes_one"),
    [
        ("GET", "/healthz", True),
        ("GET", JOB, True),
        ("GET", f"{JOB}?wait=20", False),
        ("GET", f"{JOB}/events", False),
        ("GET", "/jobs", False),
        ("DELETE", JOB, False),
    ],
)
def test_only_what_is_answered_shortly_takes_a_turn(client, monkeypatch, method, path, takes_one):
    taken = []

    @contextmanager
    def noted(_):
        taken.append(path)
        yield

    monkeypatch.setattr(Turns, "turn", noted)
    client.open(path, method=method)
    assert bool(taken) == takes_one
