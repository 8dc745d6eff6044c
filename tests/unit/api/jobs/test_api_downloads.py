"""The files of a job: only those that the manifest names, whole or one range of them."""

import base64
import hashlib

import pytest

from shared.job import AttemptEnd
from shared.manifest import Checkpoint, Manifest, write_manifest
from shared.times import utc_now
from tests.support.jobs import claim

BEST = bytes(range(256)) * 20
OTHER = b"other weights"


def saved(attempt, name, content, epoch):
    (attempt.checkpoints / name).write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    return Checkpoint(
        name=name, epoch=epoch, bytes=len(content), sha256=sha256, saved_at=utc_now(), metrics={"loss": 0.5}
    )


def get(client, path, **options):
    """Return the whole answer, already closed."""
    return client.get(path, buffered=True, **options)


@pytest.fixture
def attempt(job):
    """The first attempt, with two checkpoints; the second one is the best."""
    attempt = claim(job)
    attempt.checkpoints.mkdir()
    kept = (saved(attempt, "model-01-0.50.keras", OTHER, 1), saved(attempt, "model-02-0.60.keras", BEST, 2))
    write_manifest(attempt.manifest_file, Manifest(best="model-02-0.60.keras", checkpoints=kept))
    return attempt


def of(attempt, rest):
    return f"/jobs/{attempt.job.id}/{rest}"


def test_the_checkpoints_are_listed_with_what_they_are_worth(client, attempt):
    items = get(client, of(attempt, "checkpoints")).json["data"]
    assert [(one["name"], one["epoch"], one["bytes"], one["is_best"]) for one in items] == [
        ("model-01-0.50.keras", 1, len(OTHER), False),
        ("model-02-0.60.keras", 2, len(BEST), True),
    ]
    assert get(client, items[0]["url"]).data == OTHER


def test_a_job_without_checkpoints_lists_none_and_has_no_model(client, job):
    assert get(client, f"/jobs/{job.id}/checkpoints").json["data"] == []
    assert get(client, f"/jobs/{job.id}/model").status_code == 404


@pytest.mark.parametrize("rest", ["model", "checkpoints/model-02-0.60.keras"])
def test_a_file_comes_whole_with_its_hash(client, attempt, rest):
    answer = get(client, of(attempt, rest))
    digest = hashlib.sha256(BEST)
    assert (answer.status_code, answer.data) == (200, BEST)
    assert answer.headers["ETag"] == f'"{digest.hexdigest()}"'
    assert answer.headers["Repr-Digest"] == f"sha-256=:{base64.b64encode(digest.digest()).decode()}:"
    assert answer.headers["Content-Disposition"] == "attachment; filename=model-02-0.60.keras"
    assert answer.headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=10-19", 10, 19),
        ("bytes=5000-", 5000, 5119),
        ("bytes=-20", 5100, 5119),
        ("BYTES=0-1", 0, 1),
        ("bytes=5100-99999", 5100, 5119),
        ("bytes=-99999", 0, 5119),
    ],
)
def test_one_range_is_206(client, attempt, asked, first, last):
    answer = get(client, of(attempt, "model"), headers={"Range": asked})
    assert (answer.status_code, answer.data) == (206, BEST[first : last + 1])
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(BEST)}"


TAG = hashlib.sha256(BEST).hexdigest()


@pytest.mark.parametrize(
    "condition", ['"another"', f'W/"{TAG}"', TAG, "", "*", f'"{TAG}", "x"', "Sat, 28 Nov 2026 00:00:00 GMT"]
)
def test_a_range_is_sent_only_where_if_range_is_exactly_the_strong_tag(client, attempt, condition):
    answer = get(client, of(attempt, "model"), headers={"Range": "bytes=0-0", "If-Range": condition})
    assert (answer.status_code, answer.data) == (200, BEST)
    answer = get(client, of(attempt, "model"), headers={"Range": "bytes=0-0", "If-Range": f'"{TAG}"'})
    assert (answer.status_code, answer.data) == (206, BEST[:1])


@pytest.mark.parametrize(
    "asked",
    ["lines=1-2", "bytes", "bytes=", "bytes=a-b", "bytes=5-2", "bytes=0-1,3-4", "bytes=--1", "x", f"bytes={'9' * 30}-"],
)
def test_a_range_that_cannot_be_understood_is_ignored(client, attempt, asked):
    answer = get(client, of(attempt, "model"), headers={"Range": asked})
    assert (answer.status_code, answer.data) == (200, BEST)


@pytest.mark.parametrize("asked", ["bytes=99999-", "bytes=5120-", "bytes=5120-5130", "bytes=-0"])
def test_a_range_at_or_beyond_the_end_is_416_as_a_problem(client, attempt, asked):
    answer = get(client, of(attempt, "model"), headers={"Range": asked})
    assert (answer.status_code, answer.mimetype) == (416, "application/problem+json")
    assert answer.headers["Content-Range"] == f"bytes */{len(BEST)}"


def test_a_file_that_the_client_has_is_304(client, attempt):
    tag = get(client, of(attempt, "model")).headers["ETag"]
    answer = get(client, of(attempt, "model"), headers={"If-None-Match": tag})
    assert (answer.status_code, answer.data) == (304, b"")


@pytest.mark.parametrize(
    "name", ["manifest.json", "..", "../claim.json", "%2e%2e%2fclaim.json", "/etc/passwd", "x", "x" * 5000, "%00"]
)
def test_a_name_that_the_manifest_does_not_hold_is_404(client, attempt, name):
    assert get(client, of(attempt, f"checkpoints/{name}")).status_code == 404


def refused(client, attempt):
    answer = get(client, of(attempt, "model"))
    return (answer.status_code, answer.json["code"]) == (500, "damaged_record")


def test_a_link_in_a_checkpoints_place_is_not_followed(client, attempt, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(BEST)
    file = attempt.checkpoints / "model-02-0.60.keras"
    file.unlink()
    file.symlink_to(secret)
    assert refused(client, attempt)


def test_a_folder_in_a_checkpoints_place_is_a_damaged_record(client, attempt):
    (attempt.checkpoints / "model-02-0.60.keras").unlink()
    (attempt.checkpoints / "model-02-0.60.keras").mkdir()
    assert refused(client, attempt)


def test_a_checkpoint_that_was_removed_since_is_404(client, attempt):
    (attempt.checkpoints / "model-02-0.60.keras").unlink()
    assert get(client, of(attempt, "model")).status_code == 404


def test_a_checkpoint_of_another_length_is_never_sent_under_its_hash(client, attempt):
    (attempt.checkpoints / "model-02-0.60.keras").write_bytes(BEST[:-1])
    answer = get(client, of(attempt, "model"))
    assert (answer.status_code, answer.json["code"]) == (500, "damaged_checkpoint")


def test_the_log_is_that_of_the_newest_attempt_that_has_one_without_a_torn_line(client, job):
    first = claim(job)
    first.training_log.write_bytes(b"epoch,loss\n0,0.5\n1,0.")
    first.close(AttemptEnd(outcome="lost", ended_at=utc_now()))
    claim(job, 2)
    answer = get(client, f"/jobs/{job.id}/training_log.csv")
    assert (answer.mimetype, answer.data) == ("text/csv", b"epoch,loss\n0,0.5\n")
    assert answer.headers["Content-Disposition"].startswith("attachment")


def test_before_the_first_epoch_there_is_no_log(client, job):
    answer = get(client, f"/jobs/{job.id}/training_log.csv")
    assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")
