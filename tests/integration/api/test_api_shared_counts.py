"""Counters on a real Redis, shared by all hosts, and what happens to them when it disappears and comes back."""

import os
import secrets
import signal
import time

import pytest

from api import create_app
from api.state.service import Service
from api.state.shared_counts import MemoryCounts, RedisCounts, SharedCounts
from shared.settings import Settings
from tests.support.keys import ADMIN_KEY, authorized
from tests.support.redis import RedisServer, free_port, redis_program, running_redis
from tests.support.waiting import wait_for


@pytest.fixture(params=["redis", "memory"])
def counts(request, redis_server):
    """Both kinds of counters, which must behave the same."""
    kind = RedisCounts(redis_server.url) if request.param == "redis" else MemoryCounts()
    yield kind
    if isinstance(kind, RedisCounts):
        kind.close()


@pytest.fixture
def name():
    return secrets.token_hex(4)


def test_a_window_begins_with_its_first_count_and_ends(counts, name):
    assert counts.add(name, 3, 60).total == 3
    again = counts.add(name, 4, 60)
    assert again.total == 7
    assert 50 < again.resets_in <= 60
    assert counts.add(f"{name}-short", 5, 0.05).total == 5
    wait_for(lambda: counts.add(f"{name}-short", 0, 0.05).total == 0, 10)


def test_only_so_many_places_are_held_and_they_come_back_by_themselves(counts, name):
    assert counts.hold(name, "a", 2, 60)
    assert counts.hold(name, "b", 2, 0.05)
    wait_for(lambda: counts.hold(name, "c", 2, 60), 10)
    assert not counts.hold(name, "d", 2, 60)
    counts.release(name, "a")
    assert counts.hold(name, "d", 2, 60)
    counts.release(name, "nobody")


def test_sets_and_tables_keep_what_was_put(counts, name):
    assert counts.members(name) == set()
    assert [counts.insert(name, {member}) for member in ("a", "b", "a")] == [1, 2, 2]
    counts.discard(name, {"a", "x"})
    counts.discard(name, set())
    assert counts.members(name) == {"b"}
    assert counts.table(f"{name}-t") == {}
    counts.put(f"{name}-t", "k", "1")
    counts.put(f"{name}-t", "k", "2")
    assert counts.table(f"{name}-t") == {"k": "2"}


def test_limits_hold_over_two_hosts_and_over_the_absence_of_redis(tmp_path):
    program = redis_program()
    assert program
    server = RedisServer(program, tmp_path, free_port())
    server.start()
    settings = Settings(volume=tmp_path / "volume", redis_url=server.url, admin_key=ADMIN_KEY, requests_per_minute=4)
    apps = [create_app(settings), create_app(settings)]
    hosts = [authorized(app) for app in apps]
    try:
        assert [hosts[number % 2].get("/jobs").status_code for number in range(5)] == [200] * 4 + [429]
        server.kill()
        assert [hosts[0].get("/jobs").status_code for _ in range(5)] == [200] * 4 + [429], "it counts for itself"
        server.start()
        Service.of(apps[0]).counts._away_until = 0
        assert hosts[0].get("/jobs").status_code == 200
    finally:
        server.kill()
        for app in apps:
            Service.of(app).counts.close()


def test_a_redis_that_hangs_costs_one_request_a_quarter_second_and_the_next_ones_nothing(tmp_path):
    with running_redis(tmp_path) as server:
        counts = SharedCounts(server.url)
        assert counts.ask(lambda kind: kind.add("x", 1, 60)).total == 1
        pid = server._process.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            totals = [counts.ask(lambda kind: kind.add("x", 1, 60)).total for _ in range(1000)]
            assert totals == list(range(1, 1001))
            assert time.monotonic() - began < 100, "a quarter second each would be more"
        finally:
            os.kill(pid, signal.SIGCONT)
            counts.close()


def test_a_url_that_only_celery_knows_is_counted_in_memory():
    counts = SharedCounts("sentinel://127.0.0.1:1")
    assert counts.ask(lambda kind: kind.add("x", 2, 60)).total == 2
    counts.close()
