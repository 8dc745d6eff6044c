"""A job is rung for behind its answer."""

import threading

from api.state.bell_ringer import BellRinger
from tests.support.waiting import wait_for


class Bell:
    """Notes who was rung for; the first ring waits until it is let go, the second fails."""

    def __init__(self):
        self.rung = []
        self.go_on = threading.Event()

    def ring(self, *job_ids):
        self.go_on.wait(30)
        self.rung.append(job_ids)
        if len(self.rung) == 2:
            raise RuntimeError("nobody foresaw this")
        return True


def test_no_post_waits_for_a_ring_and_those_that_waited_are_rung_for_at_once_and_in_order(caplog):
    bell = Bell()
    ringer = BellRinger(bell)
    ringer.ring("a")
    wait_for(ringer._waiting.empty, 30)
    for job_id in "bcd":
        ringer.ring(job_id)
    assert bell.rung == []
    bell.go_on.set()
    wait_for(lambda: len(bell.rung) == 2, 30)
    assert bell.rung == [("a",), ("b", "c", "d")]
    ringer.ring("e")
    wait_for(lambda: len(bell.rung) == 3, 30, saying="a failure does not end the thread")
    assert "nobody foresaw this" in caplog.text
