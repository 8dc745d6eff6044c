"""Clients without a valid key: which clients count as such, and how much they may use."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from api.serving import anonymous
from api.serving.anonymous import MOST_CONNECTIONS, MOST_FILES_PER_SECOND, MOST_REQUESTS_PER_SECOND, AnonymousClients


class Fake:
    """A connection that records whether it was kept or aborted."""

    def __init__(self, port, address="192.0.2.1"):
        self.client = (address, port)
        self.fate = "open"

    def keep(self):
        self.fate = "kept"

    def abort(self):
        self.fate = "aborted"


def on_loop(what):
    """Run a coroutine in its own thread, because Playwright leaves a loop in the thread of the tests."""

    async def run():
        return await what()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(run())).result()


def refused(guard, *requests):
    async def ask():
        return [not guard.admit(request) for request in requests]

    return on_loop(ask)


@pytest.fixture(autouse=True)
def _one_second(monkeypatch):
    """Make the counting window an hour long, so that none ends during a test."""
    monkeypatch.setattr(anonymous, "_WINDOW_SECONDS", 3600.0)


def test_above_the_limit_the_oldest_connection_of_an_address_ends_and_none_that_has_shown_a_key():
    guard = AnonymousClients(lambda _: True)
    known, *others = (Fake(port) for port in range(MOST_CONNECTIONS + 2))
    elsewhere = Fake(1, "192.0.2.2")
    guard.connect(elsewhere)
    guard.connect(known)
    guard.trust(known.client)
    for one in others:
        guard.connect(one)
    assert [known.fate, elsewhere.fate] == ["kept", "open"]
    assert [one.fate for one in others] == ["aborted", *["open"] * MOST_CONNECTIONS]


def test_a_connection_that_has_ended_counts_no_more():
    guard = AnonymousClients(lambda _: True)
    for port in range(3 * MOST_CONNECTIONS):
        one = Fake(port)
        guard.connect(one)
        guard.disconnect(one.client)
        assert one.fate == "open"


def test_connections_of_a_trusted_proxy_are_kept_and_its_clients_are_told_apart():
    guard = AnonymousClients(lambda _: True, "192.0.2.0/24, 2001:db8::/32")
    proxied = [Fake(port) for port in range(MOST_CONNECTIONS + 1)]
    for one in proxied:
        guard.connect(one)
    assert {one.fate for one in proxied} == {"kept"}
    ours = {"REMOTE_ADDR": "192.0.2.1", "HTTP_X_FORWARDED_FOR": "10.0.0.1, 198.51.100.1"}
    other = {"REMOTE_ADDR": "192.0.2.1", "HTTP_X_FORWARDED_FOR": "198.51.100.2"}
    *_, last, different = refused(guard, *[ours] * (MOST_REQUESTS_PER_SECOND + 1), other)
    assert (last, different) == (True, False)


def test_files_of_the_page_are_counted_apart():
    guard = AnonymousClients(lambda _: True)
    file = {"REMOTE_ADDR": "192.0.2.1", "PATH_INFO": "/page/static/base.css"}
    job = {"REMOTE_ADDR": "192.0.2.1", "PATH_INFO": "/jobs/job_0"}
    *files, one_more = refused(guard, *[file] * (MOST_FILES_PER_SECOND + 1))
    assert (set(files), one_more) == ({False}, True)
    *jobs, one_more = refused(guard, *[job] * (MOST_REQUESTS_PER_SECOND + 1))
    assert (set(jobs), one_more) == ({False}, True)


@pytest.mark.parametrize(
    ("first", "second", "is_one"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
    ],
)
def test_requests_are_counted_for_each_address_and_each_network_of_64_bits(first, second, is_one):
    guard = AnonymousClients(lambda _: True)
    found = refused(guard, *[{"REMOTE_ADDR": first}] * MOST_REQUESTS_PER_SECOND, {"REMOTE_ADDR": second})
    assert found == [False] * MOST_REQUESTS_PER_SECOND + [is_one]


def test_only_credentials_are_looked_up_and_valid_ones_once():
    asked = []

    def shows_key(environ):
        asked.append(environ["HTTP_AUTHORIZATION"])
        return environ["HTTP_AUTHORIZATION"] == "right"

    async def ask():
        guard = AnonymousClients(shows_key)
        sent = [{}, *({"HTTP_AUTHORIZATION": one} for one in ("wrong", "right", "right", "wrong"))]
        return [await guard.includes(environ) for environ in sent]

    assert on_loop(ask) == [True, True, False, False, True]
    assert asked == ["wrong", "right", "wrong"]
