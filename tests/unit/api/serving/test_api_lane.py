"""Clients that ask for something short again and again are answered by one thread, in turn; nobody hangs behind one."""

import contextlib
import socket
import threading
from io import BytesIO
from types import SimpleNamespace

import pytest

from api.serving.lane import Lane, asks_shortly
from tests.support.waiting import wait_for

ASKED = b"GET /jobs/job_01KBXW5T7N0000000000000000 HTTP/1.1\r\nHost: here\r\n\r\n"


class Known:
    """A connection and its client, and what happened to it."""

    def __init__(self):
        self.sock, self.client = socket.socketpair()
        self.parser = SimpleNamespace(unreader=SimpleNamespace(buf=BytesIO()))
        self.left = []


@pytest.fixture
def known():
    made = []

    def one():
        made.append(Known())
        return made[-1]

    yield one
    for connection in made:
        connection.sock.close()
        connection.client.close()


@pytest.fixture
def lane_of():
    """A lane whose connections note how they leave it."""
    lanes = []

    def lane(answer):
        lanes.append(Lane(answer, lambda connection, *, is_kept: connection.left.append(is_kept)))
        return lanes[-1]

    yield lane
    for one in lanes:
        one.end()


def answered(connection):
    connection.sock.recv(1 << 16)
    connection.sock.sendall(b"answer")
    return True


def test_a_client_is_answered_again_and_again_by_one_thread(lane_of, known):
    threads = set()

    def answer(connection):
        threads.add(threading.current_thread().name)
        return answered(connection)

    lane, one, other = lane_of(answer), known(), known()
    assert lane.enter(one)
    assert lane.enter(other)
    for _ in range(20):
        for connection in (one, other):
            connection.client.sendall(ASKED)
        assert (one.client.recv(100), other.client.recv(100)) == (b"answer", b"answer")
    assert threads == {"lane"}
    assert (one.left, other.left) == ([], [])


def test_who_asks_for_something_else_is_silent_or_gone_leaves(lane_of, known):
    lane, other, silent, gone = lane_of(answered), known(), known(), known()
    for connection in (other, silent, gone):
        lane.enter(connection)
    other.client.sendall(b"GET /jobs HTTP/1.1\r\n\r\n")
    gone.client.close()
    for connection in (other, gone, silent):
        wait_for(lambda: connection.left, 30, saying="it leaves")  # noqa: B023
        assert connection.left == [True]
    assert other.sock.recv(100) == b"GET /jobs HTTP/1.1\r\n\r\n", "its request was touched"


def test_a_connection_that_cannot_be_kept_leaves_and_an_error_ends_no_other(lane_of, known):
    refused, failed, fine = known(), known(), known()

    def answer(connection):
        if connection is failed:
            raise SystemExit
        return answered(connection) and connection is fine

    lane = lane_of(answer)
    for connection in (refused, failed, fine):
        lane.enter(connection)
        connection.client.sendall(ASKED)
    assert fine.client.recv(100) == b"answer"
    wait_for(lambda: refused.left and failed.left, 30, saying="they leave")
    assert (refused.left, failed.left, fine.left) == ([False], [False], [])


def test_a_request_that_was_read_ahead_is_not_waited_for(lane_of, known):
    def answer(connection):
        connection.parser.unreader.buf = BytesIO(ASKED)
        return answered(connection)

    lane, eager = lane_of(answer), known()
    lane.enter(eager)
    eager.client.sendall(ASKED)
    wait_for(lambda: eager.left, 30, saying="it leaves")
    assert eager.left == [True]


def test_behind_an_answer_that_hangs_nobody_waits(lane_of, known):
    goes_on = threading.Event()

    def answer(connection):
        if connection is hanging:
            goes_on.wait(60)
        return answered(connection)

    lane, hanging, other = lane_of(answer), known(), known()
    lane.enter(hanging)
    lane.enter(other)
    assert not lane.hangs
    hanging.client.sendall(ASKED)
    wait_for(lambda: lane.hangs, 30, saying="the lane hangs")
    other.client.sendall(ASKED)
    lane.end()
    assert (other.left, hanging.left, lane.is_busy) == ([True], [], True)
    assert not lane.enter(known())
    goes_on.set()
    assert hanging.client.recv(100) == b"answer"
    wait_for(lambda: hanging.left and not lane.is_busy, 30, saying="it leaves too")
    assert (other.left, hanging.left) == ([True], [True])
    assert other.sock.recv(100) == ASKED


@pytest.mark.parametrize(
    ("sent", "is_short"),
    [
        (ASKED, True),
        (b"GET /healthz HTTP/1.1\r\ncontent-length: 0\r\n\r\n", True),
        (ASKED[:-2], False),
        (ASKED.replace(b"GET", b"DELETE"), False),
        (ASKED.replace(b" HTTP", b"?wait=20 HTTP"), False),
        (ASKED.replace(b" HTTP", b"/events HTTP"), False),
        (b"GET /jobs HTTP/1.1\r\n\r\n", False),
        (b"GET /healthz HTTP/1.1\r\nContent-Length: 7\r\n\r\n", False),
        (b"GET /healthz HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", False),
        (b"", False),
    ],
)
def test_only_whole_short_requests_without_a_body_are_answered_in_the_lane(known, sent, is_short):
    connection = known()
    connection.client.sendall(sent)
    assert asks_shortly(connection.sock) == is_short


def test_who_does_not_take_his_answers_is_not_answered_in_the_lane(known):
    connection = known()
    connection.client.sendall(ASKED)
    connection.sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            connection.sock.send(b"x" * 4096)
    assert not asks_shortly(connection.sock)
