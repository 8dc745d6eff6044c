"""The Redis of the local stack lets its user do what the service needs, and nothing else."""

import subprocess
from pathlib import Path

import pytest
import redis

from api.state.shared_counts import RedisCounts
from fitstop.local import redis_server
from fitstop.local.doctor import check_redis
from fitstop.local.redis_server import ALLOWED, RedisPlan, find_redis_server, warn_of_old
from shared.queue import RedisQueue, make_celery
from shared.settings import Settings
from tests.support.redis import redis_program
from tests.support.waiting import wait_for

ENTRYPOINT = Path(__file__).parents[4] / "docker" / "entrypoint"


@pytest.fixture
def plan(tmp_path):
    plan = RedisPlan(tmp_path, tmp_path / "redis.log")
    process = subprocess.Popen([redis_program(), "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    process.stdin.write(plan.config())
    process.stdin.close()
    wait_for(plan.answers, 20, saying="Redis answers")
    yield plan
    process.kill()
    process.wait()


def test_notifications_and_counts_work(plan):
    queue = RedisQueue(make_celery(Settings(redis_url=plan.url)))
    assert queue.notify("job_1")
    assert queue.count_pending() == 1
    counts = RedisCounts(plan.url)
    assert counts.add("x", 2, 60).total == 2
    assert counts.hold("y", "token", 1, 60)
    counts.release("y", "token")
    assert counts.insert("z", {"a"}) == 1
    counts.discard("z", {"a"})
    counts.put("t", "a", "1")
    assert (counts.members("z"), counts.table("t")) == (set(), {"a": "1"})
    counts.close()


def test_the_doctor_may_compare_the_clocks(plan):
    assert [found.status for found in check_redis(plan.url)] == ["ok", "ok"]


@pytest.mark.parametrize(
    "command",
    [
        *("CONFIG SET dir /tmp", "CONFIG GET *", "KEYS *", "FLUSHALL", "FLUSHDB", "DEBUG SLEEP 1", "SAVE", "BGSAVE"),
        *("SHUTDOWN NOSAVE", "REPLICAOF 127.0.0.1 1", "MODULE LIST", "ACL LIST", "MONITOR", "CLIENT KILL 1:1"),
        *("GET other", "SET other 1", "PUBLISH x y", "INFO", "SCRIPT FLUSH"),
        *("EVAL return(1) 0", "EVALSHA x 0", "SCRIPT LOAD return(1)", "HSET unacked a b"),
    ],
)
def test_nothing_else_is_allowed(plan, command):
    with (
        redis.Redis.from_url(plan.url) as client,
        pytest.raises(redis.ResponseError, match=r"(?i)no permission|NOPERM"),
    ):
        client.execute_command(*command.split())


def test_the_container_gives_the_same_rights():
    assert f"reset on >$REDIS_PASSWORD {ALLOWED}\n" in ENTRYPOINT.read_text()


def server_of(folder, name, version):
    """Write a program that reports itself as a Redis server of this version."""
    program = folder / name
    program.write_text(f"#!/bin/sh\necho 'Redis server v={version} sha=0 malloc=libc'\n")
    program.chmod(0o755)
    return str(program)


def test_a_server_of_the_system_goes_before_the_bundled_one_unless_it_is_too_old(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    bundled = find_redis_server()
    server_of(tmp_path, "redis-server", "5.0.7")
    assert find_redis_server() == bundled
    valkey = server_of(tmp_path, "valkey-server", "8.1.4")
    assert find_redis_server() == valkey
    assert warn_of_old(valkey) == ""


def test_a_bundled_server_that_is_old_is_named(tmp_path, monkeypatch):
    old = server_of(tmp_path, "bundled", "6.2.14")
    monkeypatch.setattr(redis_server, "_find_bundled", lambda: old)
    assert "6.2.14" in warn_of_old(old)
    new = server_of(tmp_path, "bundled", "7.2.11")
    assert warn_of_old(new) == ""
