"""The loop of a worker without Redis."""

import os
import signal
import threading

from shared.queue import OwnQueue
from worker.supervisor.own_loop import serve_alone


class Slots:
    """Stand-in for a worker: its first job fails, its second one sends SIGTERM to the process."""

    def __init__(self) -> None:
        self.drain = threading.Event()
        self.told: list[str] = []

    def begin(self) -> None:
        self.told.append("begin")

    def run_next(self) -> None:
        self.told.append("run")
        if self.told.count("run") == 1:
            raise RuntimeError
        os.kill(os.getpid(), signal.SIGTERM)

    def end(self) -> None:
        self.told.append("end")


def test_a_slot_outlives_a_failure_and_sigterm_ends_all_slots(caplog):
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    own_queue, slots = OwnQueue(slots=2), Slots()
    own_queue.notify("job_1", "job_2")
    # A loop that SIGTERM does not end must not hang the tests.
    rescue = threading.Timer(20, own_queue.end)
    rescue.start()
    try:
        serve_alone(own_queue, slots, slots=2)
        assert rescue.is_alive(), "SIGTERM did not end the slots"
    finally:
        rescue.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
    assert slots.told == ["begin", "run", "run", "end"]
    assert slots.drain.is_set()
    assert "a slot failed" in caplog.text
