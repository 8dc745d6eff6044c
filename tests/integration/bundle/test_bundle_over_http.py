"""A bundle from a real server: whole, with its length and its hash."""

import hashlib
import io
import zipfile
from base64 import b64encode
from pathlib import Path

from shared.manifest import Checkpoint, Manifest, write_manifest
from shared.times import utc_now
from tests.support.jobs import claim, learnable_frame, put_dataset, put_job, small_spec
from worker.training import prepare

MODEL = bytes(range(256)) * 5000
NAME = "model-01-0.50.keras"


def save_model(attempt, content=MODEL):
    attempt.checkpoints.mkdir()
    (attempt.checkpoints / NAME).write_bytes(content)
    sha256 = hashlib.sha256(MODEL).hexdigest()
    kept = Checkpoint(
        name=NAME, epoch=1, bytes=len(MODEL), sha256=sha256, saved_at=utc_now(), metrics={"val_loss": 0.5}
    )
    write_manifest(attempt.manifest_file, Manifest(best=NAME, checkpoints=(kept,)))
    attempt.preprocessing_file.write_bytes(b"fitted steps")
    attempt.inference_file.write_bytes(b'{"classes": null, "versions": {"keras": "3.15.1"}}')


def test_a_bundle_comes_whole_with_its_length_and_hash(api, volume):
    put_dataset(volume, learnable_frame())
    job, damaged = (put_job(volume, small_spec()) for _ in range(2))
    save_model(claim(job))
    save_model(claim(damaged), MODEL[:-1])
    path = f"/jobs/{job.id}/bundle.zip"

    whole = api.ask("GET", path)
    assert (whole.status, len(whole.body)) == (200, int(whole.headers["Content-Length"]))
    archive = zipfile.ZipFile(io.BytesIO(whole.body))
    assert archive.read(f"{job.id}/model.keras") == MODEL
    # The attempt is from before schemas existed.
    assert archive.read(f"{job.id}/prepare.py") == Path(prepare.__file__).read_bytes()
    assert f"{job.id}/schema.json" not in archive.namelist()
    digest = b64encode(hashlib.sha256(whole.body).digest()).decode()
    assert whole.headers["Repr-Digest"] == f"sha-256=:{digest}:"

    again = api.ask("GET", path, Range="bytes=0-9")
    assert (again.status, again.body) == (200, whole.body), "a range of a generated body is ignored"
    head = api.ask("HEAD", path)
    assert (head.status, head.body) == (200, b"")
    for name in ("Content-Length", "Repr-Digest", "ETag"):
        assert head.headers[name] == whole.headers[name]
    known = api.ask("GET", path, **{"If-None-Match": whole.headers["ETag"]})
    assert (known.status, known.body) == (304, b"")
    broken = api.ask("GET", f"/jobs/{damaged.id}/bundle.zip")
    assert (broken.status, broken.json["code"]) == (500, "damaged_checkpoint")
