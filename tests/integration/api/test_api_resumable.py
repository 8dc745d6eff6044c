"""Large uploads over a real server: cut connections, a killed client, and an API that is killed in the middle."""

import hashlib
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from api.state.partial_uploads import all_uploads
from fitstop.client import Client
from fitstop.connection import Connection
from fitstop.errors import Unreachable
from fitstop.resumable import RESUMABLE_BYTES
from shared.volume import Volume
from tests.support.api_process import ApiProcess
from tests.support.cutting_proxy import cutting_proxy
from tests.support.keys import ADMIN_KEY
from tests.support.redis import free_port
from tests.support.waiting import wait_for

MIB = 1024**2


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    """An npz file that is large enough to be sent in parts."""
    path = tmp_path_factory.mktemp("large") / "large.npz"
    x = np.random.default_rng(1).integers(0, 256, (1000, 19_000), np.uint8)
    np.savez(path, x=x, y=np.arange(1000) % 2)
    assert path.stat().st_size > RESUMABLE_BYTES
    return path


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def unfinished(api):
    return [entry.name for entry in api.volume.datasets.iterdir() if entry.name.startswith(".")]


def test_an_upload_continues_after_its_connection_was_cut(api, arrays):
    with (
        cutting_proxy(api.port, 5 * MIB, 11 * MIB, 16 * MIB) as proxy,
        Client(Connection(f"http://127.0.0.1:{proxy.port}", ADMIN_KEY)) as client,
    ):
        seen = []
        dataset = client.put_dataset("cut-off", arrays, on_sent=lambda *sent: seen.append(sent))
        assert dataset["sha256"] == sha256(arrays)
        assert proxy.passed < arrays.stat().st_size + 4 * MIB, "what had arrived was not sent again"
        assert seen[-1] == (arrays.stat().st_size,) * 2
        assert unfinished(api) == []
        sent = proxy.passed
        assert client.put_dataset("cut-off", arrays)["created_at"] == dataset["created_at"]
        assert proxy.passed > sent


def test_a_killed_client_and_a_killed_api_lose_nothing(redis_server, tmp_path, arrays):
    api = ApiProcess(Volume(tmp_path / "volume"), redis_server.url, tmp_path / "api.log")
    api.start()
    try:
        with cutting_proxy(api.port, 9 * MIB, holds=True) as proxy:
            killed = subprocess.Popen(command(proxy.port, arrays), env={**os.environ, "FITSTOP_API_KEY": ADMIN_KEY})
            wait_for(lambda: arrived(api) > 8 * MIB, 30)
            killed.kill()
            killed.wait()
        for pid in [api.process.pid, *api.workers()]:
            os.kill(pid, signal.SIGKILL)
        api.process.wait()
        # Until then it may finish writes that were under way.
        before = arrived(api)
        api.start()
        assert arrived(api) == before
        with cutting_proxy(api.port) as proxy:
            done = subprocess.run(
                command(proxy.port, arrays),
                env={**os.environ, "FITSTOP_API_KEY": ADMIN_KEY},
                capture_output=True,
                text=True,
                check=False,
            )
            assert (done.returncode, done.stdout) == (0, "large\n"), done.stderr
            assert proxy.passed < arrays.stat().st_size - before + MIB
        assert api.ask("GET", "/datasets/large").json["sha256"] == sha256(arrays)
        assert unfinished(api) == []
    finally:
        api.stop()


def test_a_refusal_of_the_file_is_read_though_the_client_has_much_more_to_send(api, tmp_path):
    path = tmp_path / "model.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(RESUMABLE_BYTES))
    done = subprocess.run(
        command(api.port, path),
        env={**os.environ, "FITSTOP_API_KEY": ADMIN_KEY},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 6
    assert "HDF5" in done.stderr
    assert unfinished(api) == []


def test_a_service_of_an_earlier_version_gets_the_file_in_one_piece(api, arrays, monkeypatch):
    with Client(Connection(f"http://127.0.0.1:{api.port}", ADMIN_KEY)) as client:
        monkeypatch.setattr("fitstop.resumable._UPLOADS", "no-such-route")
        assert client.put_dataset("in-one-piece", arrays)["sha256"] == sha256(arrays)


def test_where_no_service_answers_nobody_waits(arrays):
    with Client(Connection(f"http://127.0.0.1:{free_port()}", ADMIN_KEY)) as client, pytest.raises(Unreachable):
        client.put_dataset("nowhere", arrays)


def command(port, path):
    return [
        sys.executable,
        "-m",
        "fitstop.cli.main",
        "--url",
        f"http://127.0.0.1:{port}",
        "datasets",
        "put",
        "large",
        str(path),
    ]


def arrived(api):
    return sum(one.offset for one in all_uploads(api.volume.datasets))
