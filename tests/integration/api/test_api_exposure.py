"""The API does not start where others could reach it without a key, or with a Redis that is open to everybody."""

import subprocess
import sys

import pytest
import redis

from api.serving.exposure import is_open
from api.state.key_store import KeyStore
from shared.volume import Volume
from tests.support.api_process import ApiProcess
from tests.support.redis import free_port, redis_program
from tests.support.waiting import wait_for


def refused(volume, **environment):
    """Return what the API prints instead of starting."""
    done = subprocess.run(
        [sys.executable, "-m", "api"],
        env={"FITSTOP_VOLUME": str(volume.root), "FITSTOP_REDIS_URL": "redis://127.0.0.1:1/0", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "gpu-1.example"])
def test_an_address_that_others_reach_needs_a_key_first(volume, host):
    said = refused(volume, FITSTOP_HOST=host, FITSTOP_PORT="0")
    assert f"FITSTOP_HOST={host}" in said
    assert "python -m fitstop.service api.make_key" in said
    assert "FITSTOP_ADMIN_KEY" in said


def test_a_key_that_nobody_may_use_any_more_is_no_key(volume):
    store = KeyStore(volume.root.parent / "api")
    store.create("reader", "read")
    store.revoke(store.create("old", "admin")[0].id)
    assert "no API key of scope admin" in refused(volume, FITSTOP_HOST="0.0.0.0")


def test_with_a_key_on_the_volume_it_listens_everywhere(tmp_path):
    volume = Volume(tmp_path / "volume")
    KeyStore(volume.root.parent / "api").create("first", "admin")
    api = ApiProcess(volume, "redis://127.0.0.1:1/0", tmp_path / "api.log", FITSTOP_HOST="0.0.0.0")
    api.start()
    api.stop()


def test_another_machines_redis_without_a_password_is_refused(volume):
    said = refused(volume, FITSTOP_REDIS_URL="redis://redis:6379/0")
    assert "without a password" in said
    assert "requirepass" in said


def test_a_redis_that_others_reach_without_a_password_is_refused(volume, tmp_path):
    port = free_port()
    command = [redis_program(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--protected-mode", "no"]
    url = f"redis://127.0.0.1:{port}/0"
    assert not is_open(url), "nobody answers"
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as server, redis.Redis(port=port) as client:
        try:
            wait_for(lambda: answers(client), 20)
            assert not is_open(url), "it listens only on this machine"
            client.config_set("bind", "127.0.0.1 -::*")
            said = refused(volume, FITSTOP_REDIS_URL=url)
            assert "listens on every address" in said
            assert "requirepass" in said
            client.config_set("protected-mode", "yes")
            assert not is_open(url)
        finally:
            server.kill()


def answers(client):
    try:
        return client.ping()
    except redis.ConnectionError:
        return False
