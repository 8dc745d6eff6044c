"""Deadlines for clients that send slowly, on real sockets."""

import socket

import pytest

from api.http.slow_clients import Deadlines, discard_rest


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_a_read_that_is_too_late_finds_the_end_and_can_still_be_answered(pair):
    ours, theirs = pair
    deadlines = Deadlines()
    deadlines.set(ours, -1)
    deadlines.enforce()
    assert ours.recv(10) == b""
    assert deadlines.clear(ours)
    ours.sendall(b"408")
    assert theirs.recv(10) == b"408"


def test_a_read_in_time_is_left_alone(pair):
    ours, theirs = pair
    deadlines = Deadlines()
    deadlines.set(ours, 60)
    deadlines.enforce()
    theirs.sendall(b"x")
    assert ours.recv(10) == b"x"
    assert not deadlines.clear(ours)


def test_a_deadline_that_was_cleared_cuts_nobody(pair):
    ours, theirs = pair
    deadlines = Deadlines()
    deadlines.set(ours, -1)
    deadlines.clear(ours)
    deadlines.enforce()
    theirs.sendall(b"x")
    assert ours.recv(10) == b"x"
    assert not deadlines.clear(ours)


def test_a_socket_that_is_closed_already_disturbs_nobody(pair):
    ours, _ = pair
    deadlines = Deadlines()
    deadlines.set(ours, -1)
    ours.close()
    deadlines.enforce()


def test_the_rest_of_a_refused_body_is_taken(pair):
    ours, theirs = pair
    theirs.sendall(b"x" * 100_000)
    theirs.shutdown(socket.SHUT_WR)
    with ours.makefile("rb") as body:
        discard_rest(ours, body)
        assert body.read() == b""
