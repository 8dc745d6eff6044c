"""The trial of a bucket: one that can hold a volume passes, and a missing ability is named with a fix."""

import json
from typing import Any

import pytest

from shared.store import trial
from shared.store.bucket import BucketStore
from shared.store.trial import WRITERS, look_at_bucket
from tests.support.bucket import Server, access_to, running_server


def look(server: Server, rounds: int = 1) -> tuple[dict[str, str], list[str]]:
    """Return the finding, and the names of what is left in the bucket."""
    bucket = server.make_bucket()
    with access_to(server):
        found = look_at_bucket(f"s3://{bucket}/volume", rounds)
    return found, [entry.name for entry in server.store(bucket).list()]


def test_a_bucket_that_keeps_the_promises_passes_its_races_of_16_writers_and_is_left_empty() -> None:
    with running_server() as server:
        found, left = look(server, 3)
    assert (found["status"], left) == ("ok", [])
    assert "16 writers raced 3 times, one won each time" in found["detail"]
    assert server.requests["PUT"] >= 3 * WRITERS


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("ignores_conditions", "ignores If-None-Match: a second exclusive create replaced the first one's object"),
        ("forgets_metadata", "keeps no metadata: a create whose answer was lost could not be recognised"),
        ("lists_late", "listed an object that had been removed"),
    ],
)
def test_a_server_that_breaks_a_promise_is_refused_with_the_reason_and_left_empty(fault: str, reason: str) -> None:
    with running_server(**{fault: True}) as server:
        found, _ = look(server)
        server.lists_late = False
        left = [entry.name for entry in server.store(found["detail"].split("/")[2]).list()]
    assert found["status"] == "problem"
    assert reason in found["detail"]
    assert found["fix"].startswith("use a server")
    assert fault == "lists_late" or left == []


def test_a_server_whose_condition_is_not_atomic_is_found_by_the_race(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = BucketStore.create

    def create(store: BucketStore, name: str, content: bytes) -> bool:
        won = ours(store, name, content)
        return won or ("race" in name and content == b"3")

    monkeypatch.setattr(BucketStore, "create", create)
    with running_server() as server:
        found, _ = look(server, rounds=3)
    assert "2 of 16 writers won a race for one object" in found["detail"]


def test_the_program_prints_its_finding_as_json_and_no_key(capsys: Any) -> None:
    with running_server() as server, access_to(server):
        assert trial.main("s3://no-such-bucket-anywhere/a") == 0
    printed = capsys.readouterr().out
    found = json.loads(printed)
    assert (found["name"], found["status"]) == ("bucket", "problem")
    assert "there is no such bucket" in found["detail"]
    assert "docs/buckets.md" in found["fix"]
    assert "of-a-test" not in printed
