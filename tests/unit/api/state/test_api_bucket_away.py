"""What the API answers while the bucket of its volume does not answer, and afterwards, without a restart."""

import pytest

from api import create_app
from shared.mirror.opening import Looking
from shared.settings import Settings
from tests.support.bucket import access_to, running_server
from tests.support.jobs import small_spec
from tests.support.keys import ADMIN_KEY, authorized
from tests.support.redis import free_port
from tests.support.waiting import wait_for

ROWS = b"a,b,grade\n" + b"".join(b"%d,%d,%d\n" % (row, 7 * row % 13, row % 2) for row in range(60))
SPEC = small_spec(dataset={"id": "grades", "target": "grade", "positive": None})


@pytest.fixture
def new_client(tmp_path, monkeypatch):
    """Make a client of an app whose volume is in the bucket; its looks end with the test."""
    begun = []
    begin = Looking.begin

    def note_and_begin(looking):
        begun.append(looking)
        begin(looking)

    def make(bucket):
        monkeypatch.setattr(Looking, "begin", note_and_begin)
        folder = tmp_path / "api"
        settings = Settings(
            bucket=f"s3://{bucket}/volume", volume=folder, redis_url="none", admin_key=ADMIN_KEY, bucket_seconds=0.1
        )
        return authorized(create_app(settings))

    yield make
    for looking in begun:
        looking.end()


def test_while_a_bucket_is_away_reads_are_answered_and_writes_are_refused(new_client):
    port = free_port()
    with running_server(port) as server, access_to(server):
        client = new_client(server.make_bucket())
        assert client.put("/datasets/grades", data=ROWS, content_type="text/csv").status_code == 201
        assert "Fitstop-Volume-Away" not in client.get("/datasets").headers
    wait_for(lambda: "no answer" in client.get("/readyz").json["checks"]["volume"]["detail"])
    listed = client.get("/datasets")
    assert [one["id"] for one in listed.json["data"]] == ["grades"]
    assert "does not answer" in listed.headers["Fitstop-Volume-Away"]
    for refused in (client.post("/jobs", json=SPEC), client.delete("/datasets/grades")):
        assert (refused.status_code, refused.json["code"]) == (503, "volume_unavailable")
        assert "the bucket that holds the volume does not answer; nothing was changed" in refused.json["detail"]
        assert int(refused.headers["Retry-After"]) > 0
    assert client.post("/keys", json={"name": "at night", "scope": "read"}).status_code == 201
    with running_server(port) as server:
        wait_for(lambda: client.get("/readyz").json["checks"]["volume"]["ok"])
        assert "Fitstop-Volume-Away" not in client.get("/jobs").headers
        post_while_answers_are_lost(client, server)


def post_while_answers_are_lost(client, server) -> None:
    server.lose_answer = lambda environ: "/jobs/" in environ["PATH_INFO"]
    refused = client.post("/jobs", json=SPEC, headers={"Idempotency-Key": "at-night"})
    assert (refused.status_code, refused.json["code"]) == (503, "volume_unavailable")
    server.lose_answer = lambda _: False
    wait_for(lambda: client.get("/readyz").json["checks"]["volume"]["ok"])
    again = client.post("/jobs", json=SPEC, headers={"Idempotency-Key": "at-night"})
    assert again.status_code == 202
    assert [one["id"] for one in client.get("/jobs").json["data"]] == [again.json["id"]]
