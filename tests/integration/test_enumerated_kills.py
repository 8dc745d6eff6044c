"""Kills at every system call while a checkpoint and a dataset are published: a reader sees whole things or none.

`shared.durable` alone writes all other files; its own test enumerates its system calls.
A child is forked, stops itself just before the publication, is traced from there on, and killed at its n-th call.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from shared.durable import is_temporary
from shared.job_folder import AttemptFolder
from shared.manifest import read_manifest
from shared.spec import ModelCheckpointSpec
from shared.volume import Volume
from tests.support.jobs import learnable_frame, put_dataset
from tests.support.waiting import wait_for

_CALLS = ("openat", "write", "fsync", "rename", "link", "unlink", "mkdir", "close")


def publish_checkpoint(folder: str) -> None:
    from worker.training.checkpoints import CheckpointStore

    spec = ModelCheckpointSpec(monitor="v", mode="max", filename="m-{epoch:02d}", keep=2)
    store = CheckpointStore(spec, AttemptFolder(Path(folder), 1))

    def publish(epoch: int, value: float) -> None:
        store.publish(f"m-{epoch:02d}.keras", bytes([epoch]) * 1_000_000, epoch, {"v": value})
        store.clear_away(set())

    publish(1, 0.0)
    publish(2, 0.1)
    os.kill(os.getpid(), signal.SIGSTOP)
    publish(3, 0.9)
    os._exit(0)


def publish_dataset(folder: str) -> None:
    volume = Volume(Path(folder))
    prepared = volume.datasets / ".incoming-1"
    shutil.copytree(volume.dataset_folder("grades"), prepared)
    (prepared / "dataset.json").write_bytes(
        (prepared / "dataset.json").read_bytes().replace(b'"id":"grades"', b'"id":"others"')
    )
    os.kill(os.getpid(), signal.SIGSTOP)
    volume.publish_dataset(prepared, "others")
    os._exit(0)


@pytest.fixture(autouse=True)
def can_trace() -> None:
    if not sys.platform.startswith("linux") or shutil.which("strace") is None:
        pytest.skip("strace is not installed")


def every_kill(forks: ForkServerContext, act: Callable[[str], None], tmp_path: Path) -> Iterator[tuple[str, int, Path]]:
    """Yield each call, its number and its folder, at which `act` was killed after it stopped itself."""
    for call in _CALLS:
        for number in range(1, 1000):
            folder = tmp_path / f"{call}-{number}"
            Volume(folder)
            put_dataset(Volume(folder), learnable_frame(20))
            if not killed_at(forks, act, folder, call, number):
                break
            yield call, number, folder


def killed_at(forks: ForkServerContext, act: Callable[[str], None], folder: Path, call: str, number: int) -> bool:
    """Run `act` and kill it at its `number`-th call of a kind; return False if it came to its end."""
    child = forks.Process(target=act, args=(str(folder),))
    child.start()
    stat = Path(f"/proc/{child.pid}/stat")
    wait_for(lambda: stat.read_text().rsplit(")", 1)[1].split()[0] == "T")
    tracer = subprocess.Popen(
        ["strace", "-f", "-p", str(child.pid), "-o", "/dev/null", "-e", f"inject={call}:signal=KILL:when={number}"],
        stderr=subprocess.PIPE,
    )
    assert tracer.stderr is not None
    told = tracer.stderr.readline().decode()
    if "attached" not in told:
        child.kill()
        child.join()
        tracer.kill()
        tracer.communicate()
        pytest.skip(f"strace may not trace here: {told.strip()}")
    os.kill(child.pid or 0, signal.SIGCONT)
    child.join(60)
    tracer.communicate(timeout=120)
    assert child.exitcode in {0, -signal.SIGKILL}
    return child.exitcode != 0


def test_a_checkpoint_is_whole_or_unnamed_whenever_its_process_is_killed(
    forks: ForkServerContext, tmp_path: Path
) -> None:
    bests = set()
    kills = 0
    for call, number, folder in every_kill(forks, publish_checkpoint, tmp_path):
        kills += 1
        manifest = read_manifest(folder / "checkpoints" / "manifest.json")
        bests.add(manifest.best)
        for one in manifest.checkpoints:
            content = (folder / "checkpoints" / one.name).read_bytes()
            assert (len(content), hashlib.sha256(content).hexdigest()) == (one.bytes, one.sha256), (call, number)
        named = {one.name for one in manifest.checkpoints}
        left = {path.name for path in (folder / "checkpoints").iterdir()} - named - {"manifest.json", ".partial"}
        assert all(is_temporary(Path(name)) or name in {"m-01.keras", "m-03.keras"} for name in left)
    assert kills > 15
    assert bests == {"m-02.keras", "m-03.keras"}, "the old best, or the new one"


def test_a_dataset_is_there_whole_or_not_at_all_whenever_its_process_is_killed(
    forks: ForkServerContext, tmp_path: Path
) -> None:
    seen = set()
    for call, number, folder in every_kill(forks, publish_dataset, tmp_path):
        volume = Volume(folder)
        others = volume.dataset("others")
        seen.add(others is not None)
        if others is not None:
            content = volume.data_file("others").read_bytes()
            assert hashlib.sha256(content).hexdigest() == others.data_sha256, (call, number)
        assert volume.dataset_ids() == (["grades", "others"] if others else ["grades"])
    assert seen == {True, False}
