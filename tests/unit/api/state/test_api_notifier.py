"""Workers are notified of a job after its answer."""

import threading

from api.state.notifier import Notifier
from shared.queue import MOST_PENDING
from tests.support.waiting import wait_for


class FakeQueue:
    """Records the notified jobs; the first notification waits until it is released, the second fails."""

    def __init__(self):
        self.notified = []
        self.go_on = threading.Event()

    def notify(self, *job_ids):
        self.go_on.wait(120)
        self.notified.append(job_ids)
        if len(self.notified) == 2:
            raise RuntimeError("nobody foresaw this")
        return True


def test_no_post_waits_for_a_notification_and_those_that_waited_are_announced_at_once_and_in_order(caplog):
    job_queue = FakeQueue()
    notifier = Notifier(job_queue)
    notifier.notify("a")
    wait_for(notifier._waiting.empty, 30)
    for job_id in "bcd":
        notifier.notify(job_id)
    assert job_queue.notified == []
    job_queue.go_on.set()
    wait_for(lambda: len(job_queue.notified) == 2, 30)
    assert job_queue.notified == [("a",), ("b", "c", "d")]
    notifier.notify("e")
    wait_for(lambda: len(job_queue.notified) == 3, 30, saying="a failure does not end the thread")
    assert "nobody foresaw this" in caplog.text


def test_of_a_burst_no_more_are_announced_at_once_than_the_queue_takes():
    job_queue = FakeQueue()
    notifier = Notifier(job_queue)
    burst = tuple(f"job_{number}" for number in range(3 * MOST_PENDING))
    for job_id in burst:
        notifier.notify(job_id)
    job_queue.go_on.set()
    wait_for(lambda: sum(job_queue.notified, ()) == burst, 30)
    assert max(map(len, job_queue.notified)) <= MOST_PENDING
