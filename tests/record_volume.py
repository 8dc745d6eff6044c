"""Record a volume of this version, with a job that is cut off: `python -m tests.record_volume FILE.tar.gz`.

Later versions read it (tests/data/volume-e06c457). It holds a dataset, jobs that succeeded, failed, were cancelled,
were extended, wait and were killed while they trained, keys, a session, a record of idempotency, a worker's card.
Beside the volume lies `expected.json`: the invented secrets, the ids, and what this version makes of the job that was
killed: its log, a hash of its weights, and the CPU and the libraries that computed them.
"""

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ADMIN_KEY = "an-admin-key-that-was-invented-for-this-volume"
SPEC: dict[str, Any] = {
    "dataset": {"id": "grades", "target": "grade", "positive": {"at_least": 3}, "stratify": True},
    "model": {"layers": [8], "dropout": 0.2, "batch_normalization": True},
    "hyperparameters": {"epochs": 4, "batch_size": 32, "engine": "stock"},
}
EPOCHS = 60
FAR = "2999-01-01T00:00:00.000Z"


def main() -> None:
    target = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "volume"
        expected = record(root, Path(folder))
        outlive(root)
        pack(root, expected, target)


def record(root: Path, beside: Path) -> dict[str, Any]:
    from api import create_app
    from api.key_store import KeyStore
    from api.sessions import SessionStore
    from shared.settings import Settings
    from shared.times import utc_now
    from shared.volume import Volume
    from shared.worker_card import GpuUse, RunningAttempt, WorkerCard

    settings = Settings(
        volume=root, index_folder=beside / "index", redis_url="redis://127.0.0.1:1/0", admin_key=ADMIN_KEY
    )
    app = create_app(settings)
    client = app.test_client()

    def ask(method: str, path: str, key: str = ADMIN_KEY, **more: Any) -> Any:
        headers = {"Authorization": f"Bearer {key}", **more.pop("headers", {})}
        answer = client.open(path, method=method, headers=headers, **more)
        assert answer.status_code < 300, (path, answer.status_code, answer.text)
        return answer.json

    key = ask("POST", "/keys", json={"name": "ann", "scope": "admin"})
    revoked = ask("POST", "/keys", json={"name": "bob", "scope": "read"})
    ask("POST", f"/keys/{revoked['id']}/revoke")
    secret = key["key"]
    ask("PUT", "/datasets/grades?name=grades.csv", secret, data=data(), content_type="text/csv")
    keys = KeyStore(root, settings.admin_key)
    session = SessionStore(root, keys).begin(keys.find(secret))
    volume = Volume(root)

    def post(name: str, headers: dict[str, str] | None = None, **parts: Any) -> str:
        spec = {**SPEC, "name": name, "metadata": {"team": "red"}}
        for part, values in parts.items():
            spec[part] = {**spec.get(part, {}), **values}
        return ask("POST", "/jobs", secret, json=spec, headers=headers or {})["id"]

    ids = {"succeeded": post("succeeded", {"Idempotency-Key": "invented-once"})}
    attempt(root)
    ids["failed"] = post(
        "failed",
        dataset={"positive": None, "target": "a", "stratify": False},
        hyperparameters={"optimizer": "sgd", "learning_rate": 100.0},
    )
    attempt(root)
    ids["cancelled"] = post("cancelled")
    ask("POST", f"/jobs/{ids['cancelled']}/cancel", secret)
    ids["extended"] = ask("POST", f"/jobs/{ids['succeeded']}/extend", secret, json={"epochs": 7})["id"]
    attempt(root)
    early = {
        "callbacks": {
            "early_stopping": {"patience": 1000},
            "model_checkpoint": {"keep": 2},
            "reduce_lr_on_plateau": {"patience": 4},
        }
    }
    ids["running"] = post("running", hyperparameters={"epochs": EPOCHS}, **early)
    kill_inside(root, volume, ids["running"])
    ids["queued"] = post("queued")
    statuses = {name: ask("GET", f"/jobs/{job_id}", secret)["status"] for name, job_id in ids.items()}
    assert statuses == {name: {"extended": "succeeded"}.get(name, name) for name in ids}, statuses
    volume.show_worker(
        WorkerCard(
            worker="host-a-7-abcdef",
            host="host-a",
            pid=7,
            device="CPU",
            gpu=GpuUse(used_percent=1, used_bytes=2, total_bytes=3),
            slots=1,
            child_start="spawn",
            ready=True,
            draining=False,
            running=(RunningAttempt(job=ids["running"], attempt=1, slot=0),),
            started_at=utc_now(),
            seen_at=utc_now(),
        )
    )
    return {
        "version": "e06c457",
        "admin_key": ADMIN_KEY,
        "key": secret,
        "revoked_key": revoked["key"],
        "session": session,
        "idempotency_key": "invented-once",
        "jobs": ids,
        "twin": twin(root, beside, ids["running"]),
    }


def data() -> bytes:
    from tests.support.jobs import learnable_frame

    return learnable_frame(rows=200).round(4).to_csv(index=False).encode()


def attempt(root: Path) -> None:
    """Claim the first job that waits, and train it to its end."""
    assert (
        subprocess.run([sys.executable, "-m", "tests.record_volume", "--attempt", str(root)], check=False).returncode
        == 0
    )


def kill_inside(root: Path, volume: Any, job_id: str) -> None:
    """Train a job, and kill worker and child a few epochs after a resume point of epoch 12 or later."""
    from shared.points import place_of, points_of

    process = subprocess.Popen(
        [sys.executable, "-m", "tests.record_volume", "--attempt", str(root)], start_new_session=True
    )
    folder = volume.job_folder(job_id)
    while True:
        attempts = folder.attempts()
        points = points_of(attempts[-1]) if attempts else []
        if points and place_of(points[0]).epochs >= 12:
            break
        assert process.poll() is None, "it ended before it was killed"
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(1)
    assert not attempts[-1].end_file.exists()


def one_attempt(root: Path) -> None:
    from shared.settings import Settings
    from shared.volume import Volume
    from worker.attempt import AttemptRun
    from worker.child import Nursery
    from worker.claim import Owner, claim_next

    socket.gethostname = lambda: "host-a"
    settings = Settings(volume=root, child_start="spawn")
    volume = Volume(root)
    owner = Owner("host-a-7-abcdef", "host-a", 7, 0, "CPU", 1.5, "USD")
    found = claim_next(volume, owner)
    assert found is not None
    AttemptRun(found, owner.claiming_since, volume, settings, threading.Event()).run(Nursery(settings))


def twin(root: Path, beside: Path, job_id: str) -> dict[str, Any]:
    """What this version itself makes of the killed job: resumed on a copy, and from its start, which is the same."""
    from shared.job_folder import AttemptFolder
    from shared.settings import Settings
    from shared.volume import Volume
    from worker.outcome import lost_attempt

    found = []
    for resumed in (True, False):
        copy = Volume(Path(shutil.copytree(root, beside / f"copy-{resumed}")))
        folder = copy.job_folder(job_id)
        for marker in list(copy.open.iterdir()):
            if not marker.name.endswith(job_id):
                marker.unlink()
        if resumed:
            folder.attempts()[-1].close(lost_attempt(folder.attempts()[-1], Settings(retry_backoff_seconds=0)))
        else:
            shutil.rmtree(folder.attempts_folder)
        attempt(copy.root)
        last: AttemptFolder = folder.attempts()[-1]
        assert last.number == (2 if resumed else 1)
        found.append({"log": last.training_log.read_text(), "weights_sha256": weights_sha256(last)})
    assert found[0] == found[1]
    return {**found[0], "cpu": cpu(), "libraries": libraries()}


def weights_sha256(attempt: Any) -> str:
    """Of the model's and the optimizer's variables at the run's end, from its last resume point."""
    from shared.points import points_of
    from worker.training.resume.point import read_point

    digest = hashlib.sha256()
    for name, array in read_point(points_of(attempt)[0]).tensors:
        if name.startswith(("model:", "optimizer:")):
            digest.update(array.tobytes())
    return digest.hexdigest()


def cpu() -> str:
    facts = dict(line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line)
    found = {name.strip(): value.strip() for name, value in facts.items()}
    return json.dumps({name: found.get(name) for name in ("vendor_id", "cpu family", "model", "model name", "flags")})


def libraries() -> dict[str, str]:
    found = {}
    for name in ("tensorflow", "tensorflow-cpu", "keras", "numpy"):
        try:
            found[name.removesuffix("-cpu")] = version(name)
        except PackageNotFoundError:
            continue
    return found


def outlive(root: Path) -> None:
    """Let the session last, and take out what names this machine or may be made again."""
    for path in root.glob("sessions/*.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "expires_at": FAR}, separators=(",", ":")) + "\n")
    for path in root.rglob("output.log"):
        path.unlink()
    for path in root.glob("idempotency/swept-*"):
        path.unlink()


def pack(root: Path, expected: dict[str, Any], target: Path) -> None:
    """The same files give the same archive but for its compression; hard links stay links."""

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mtime = 0
        return entry

    with tarfile.open(target, "w:gz", compresslevel=9) as archive:
        archive.add(root, "volume", filter=plain)
    target.with_name("expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1] == "--attempt":
        one_attempt(Path(sys.argv[2]))
    else:
        main()
