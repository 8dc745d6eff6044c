"""`fitstop run` with a real API and a real worker: from a folder to the files that its script wrote."""

import os
import subprocess
import sys

import pytest

import fitstop
from fitstop.connection import Connection
from shared.volume import Volume
from tests.support.api_process import ApiProcess
from tests.support.keys import ADMIN_KEY
from tests.support.redis import running_redis
from tests.support.worker_process import WorkerProcess

SCRIPT = """\
import sys
import keras
import numpy as np
from lib.layers import WIDTH

print("arguments", sys.argv[1:])
model = keras.Sequential([keras.layers.Dense(WIDTH), keras.layers.Dense(1)])
model.compile("sgd", "mse")
x = np.linspace(0, 1, 40).reshape(20, 2)
history = model.fit(x, x.sum(1), epochs=2, verbose=0)
open("scores.csv", "w").write(f"epochs,{len(history.epoch)}\\n")
"""


@pytest.fixture
def served(tmp_path):
    """The address of a service whose worker runs programs."""
    volume = Volume(tmp_path / "volume")
    (tmp_path / "redis").mkdir()
    with running_redis(tmp_path / "redis") as redis:
        api = ApiProcess(volume, redis.url, tmp_path / "api.log")
        worker = WorkerProcess(volume, redis.url, tmp_path / "worker.log", FITSTOP_ALLOW_CODE="unboxed")
        api.start()
        worker.start()
        try:
            yield f"http://127.0.0.1:{api.port}"
        finally:
            worker.stop()
            api.stop()


def test_a_script_runs_with_its_folder_and_leaves_its_files(served, tmp_path):
    folder = tmp_path / "cats"
    (folder / "lib").mkdir(parents=True)
    (folder / "train.py").write_text(SCRIPT)
    (folder / "lib" / "layers.py").write_text("WIDTH = 4\n")
    (folder / ".env").write_text("KEY=secret")
    environment = {**os.environ, "FITSTOP_URL": served, "FITSTOP_API_KEY": ADMIN_KEY}

    def run(*arguments):
        command = [sys.executable, "-m", "fitstop.cli.main", *arguments]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    first = run("run", "train.py", "--", "--fast", "5")
    assert "program cats: 2 files" in first.stderr
    assert "left out, hidden: .env" in first.stderr
    job = first.stdout.splitlines()[0]
    run("download", job, "--files", "-o", str(tmp_path / "got"))
    assert {path.name: path.read_text() for path in (tmp_path / "got").iterdir()} == {"scores.csv": "epochs,2\n"}
    with fitstop.Client(Connection(served, ADMIN_KEY)) as client:
        assert "arguments ['--fast', '5']" in run("logs", job).stdout
        again = fitstop.run_script(folder / "train.py", client=client)
        assert again.job["spec"]["program"]["version"] == client.job(job)["spec"]["program"]["version"]
        assert again.wait(200, verbose=False).status == "succeeded"
        assert client.program("cats")["version_count"] == 1
