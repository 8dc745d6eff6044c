"""The volume of version e06c457, unpacked for a test, and the answers of its routes.

The program that recorded it runs only on that version: tests/record_volume.py of commit 545b458.
"""

import json
import os
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from flask import Flask

from api import create_app
from shared.events import read_events
from shared.job import AttemptEnd
from shared.job_folder import AttemptFolder
from shared.points import points_of
from shared.settings import Settings
from shared.times import utc_now
from shared.volume import Volume
from tests.support.keys import authorized
from worker.training.resume.point import read_point
from worker.training.run import run
from worker.training.stop_requests import StopRequests

FOLDER = Path(__file__).parents[1] / "data" / "volume-e06c457"
EXPECTED: dict[str, Any] = json.loads((FOLDER / "expected.json").read_text())
RUNNING: str = EXPECTED["jobs"]["running"]
_SPEC: dict[str, Any] = {
    "dataset": {"id": "grades", "target": "grade", "positive": {"at_least": 3}, "stratify": True},
    "model": {"layers": [8], "dropout": 0.2, "batch_normalization": True},
    "hyperparameters": {"epochs": 4, "batch_size": 32, "engine": "stock"},
}
# Fields that depend on the time or on the request, not on the volume.
_VOLATILE = {"request_id", "last_seen_seconds", "last_used_at"}
_NOT_OF_THE_VOLUME = {"/metrics", "/readyz", "/limits", "/docs", "/openapi.json", "/schema/job.json"}


@dataclass(frozen=True)
class OldVolume:
    """The volume at `root`, which nothing has opened yet."""

    root: Path

    def app(self) -> Flask:
        """This version's API on it."""
        return create_app(
            Settings(
                volume=self.root,
                index_folder=self.root.parent / "index",
                redis_url="redis://127.0.0.1:1/0",
                admin_key=EXPECTED["admin_key"],
            )
        )

    def documents(self) -> list[Path]:
        """Every JSON document."""
        return sorted(path for path in self.root.rglob("*.json") if path.is_file())


def unpacked(folder: Path) -> OldVolume:
    """Unpack a new copy below `folder`."""
    with tarfile.open(FOLDER / "volume.tar.gz") as archive:
        # Python before 3.11.4 has no filters.
        archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, _path: member)
        archive.extractall(folder)
    return OldVolume(folder / "volume")


def document_names() -> list[str]:
    """The paths of the volume's JSON documents, relative to it."""
    with tarfile.open(FOLDER / "volume.tar.gz") as archive:
        return sorted(name.removeprefix("volume/") for name in archive.getnames() if name.endswith(".json"))


def change(path: Path, alter: Callable[[dict[str, Any]], None]) -> None:
    """Change a document. The file keeps its time, and files linked to it, such as the marker of a job, stay as is."""
    document, before = json.loads(path.read_bytes()), path.stat()
    alter(document)
    path.unlink()
    path.write_text(json.dumps(document, separators=(",", ":")) + "\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


Answers = dict[str, tuple[int, Any]]


def answers(app: Flask) -> Answers:
    """The answers of every GET route, without volatile fields, and to a revoked key, a session, and a repeated post."""
    client = authorized(app, EXPECTED["key"])
    found = {path: _answer(client.get(path, buffered=True)) for path in _paths(app)}
    found["revoked"] = authorized(app, EXPECTED["revoked_key"]).get("/jobs").status_code, None
    found["session"] = _by_session(app).status_code, None
    spec = {**_SPEC, "name": "succeeded", "metadata": {"team": "red"}}
    found["posted once"] = _answer(
        client.post("/jobs", json=spec, headers={"Idempotency-Key": EXPECTED["idempotency_key"]})
    )
    return found


def resumed(old: OldVolume) -> AttemptFolder:
    """Take over the killed job, and train it to its end in this process."""
    folder = Volume(old.root).job_folder(RUNNING)
    folder.attempts()[-1].close(AttemptEnd(outcome="lost", ended_at=utc_now()))
    attempt = folder.take(folder.attempts()[-1].claim().model_copy(update={"attempt": 2}))  # type: ignore[union-attr]
    assert attempt is not None
    attempt.conclude(run(attempt, StopRequests(attempt, 60)))
    return attempt


def is_same_machinery() -> bool:
    """Whether this CPU and these libraries are those of the recorded twin."""
    return bool(EXPECTED["twin"]["cpu"] == _cpu() and EXPECTED["twin"]["libraries"] == _libraries())


def assert_resumed_as_twin(attempt: AttemptFolder) -> None:
    """Assert that the run resumed at the newest point, and ended as with the version that began it.

    On the same CPU with the same libraries, the results are equal bit for bit.
    """
    told = [event for _, event in read_events(attempt.events_file) if event.type == "resume"]
    assert [(event.data.get("from_attempt"), event.data.get("epoch")) for event in told][:1] == [(1, 18)], told
    conclusion = attempt.conclusion()
    assert conclusion is not None
    assert conclusion.ending is not None
    assert conclusion.ending.status == "succeeded", conclusion
    twin = EXPECTED["twin"]
    if is_same_machinery():
        assert attempt.training_log.read_text() == twin["log"]
        assert _weights_sha256(attempt) == twin["weights_sha256"]
        return
    expected, found = pd.read_csv(StringIO(twin["log"])), pd.read_csv(attempt.training_log)
    np.testing.assert_allclose(found["loss"], expected["loss"], rtol=1e-3)


def _by_session(app: Flask) -> Any:
    browser = app.test_client()
    browser.set_cookie("fitstop_session", EXPECTED["session"])
    return browser.get("/jobs")


def _paths(app: Flask) -> Iterator[str]:
    """Yield the path of every GET route, with each job and dataset filled in."""
    for rule in app.url_map.iter_rules():
        if "GET" not in (rule.methods or ()) or rule.rule.startswith("/page/static") or rule.rule in _NOT_OF_THE_VOLUME:
            continue
        if "<job_id>" in rule.rule:
            for job_id in EXPECTED["jobs"].values():
                yield rule.rule.replace("<job_id>", job_id).replace("<name>", "model-01-0.38.keras")
        else:
            yield rule.rule.replace("<dataset_id>", "grades")


def _answer(answer: Any) -> tuple[int, Any]:
    if answer.is_json or answer.mimetype == "application/problem+json":
        return answer.status_code, _steady(json.loads(answer.data))
    return answer.status_code, sha256(answer.data).hexdigest()


def _steady(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _steady(inner) for name, inner in value.items() if name not in _VOLATILE}
    return [_steady(inner) for inner in value] if isinstance(value, list) else value


def _weights_sha256(attempt: AttemptFolder) -> str:
    """The digest of the model's and the optimizer's variables at the run's end, from its last resume point."""
    digest = sha256()
    for name, array in read_point(points_of(attempt)[0]).tensors:
        if name.startswith(("model:", "optimizer:")):
            digest.update(array.tobytes())
    return digest.hexdigest()


def _cpu() -> str:
    facts = dict(line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line)
    found = {name.strip(): value.strip() for name, value in facts.items()}
    return json.dumps({name: found.get(name) for name in ("vendor_id", "cpu family", "model", "model name", "flags")})


def _libraries() -> dict[str, str]:
    found = {}
    for name in ("tensorflow", "tensorflow-cpu", "keras", "numpy"):
        try:
            found[name.removesuffix("-cpu")] = version(name)
        except PackageNotFoundError:
            continue
    return found
