"""A bucket whose answers are lost, and the messages about a bucket that cannot be used."""

from collections.abc import Callable, Iterator
from typing import Any

import obstore
import pytest
from obstore.store import S3Store

from shared.settings import Settings
from shared.store.bucket import PART_BYTES
from shared.store.interface import BadName, FileChanged, NoAnswer, StoreError
from shared.store.opening import PATIENCE, open_bucket, open_store
from tests.support.bucket import KEYS, Server, access_to, running_server


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with running_server() as server:
        yield server


@pytest.fixture
def server(running: Server) -> Iterator[Server]:
    yield running
    running.lose_answer = lambda _: False


def lose_answers(server: Server, method: str, count: int, query: str = "") -> None:
    """Lose the answers to the next `count` requests of this kind, but carry the requests out."""
    left = [count]

    def lose(environ: dict[str, Any]) -> bool:
        is_meant = environ["REQUEST_METHOD"] == method and query in environ["QUERY_STRING"] and left[0] > 0
        left[0] -= is_meant
        return is_meant

    server.lose_answer = lose


# obstore tries each request 3 times.
@pytest.mark.parametrize("lost", [1, 3])
def test_a_create_whose_answer_was_lost_is_recognised_as_our_own(server: Server, lost: int) -> None:
    store = server.store()
    lose_answers(server, "PUT", lost)
    assert store.create("claim.json", b"ours")
    assert not store.create("claim.json", b"of somebody else")
    assert store.read("claim.json") == b"ours"


def test_a_create_whose_answer_was_lost_and_that_somebody_else_had_won_is_not_ours(server: Server) -> None:
    store = server.store()
    assert store.create("claim.json", b"theirs")
    lose_answers(server, "PUT", 3)
    assert not store.create("claim.json", b"ours")
    assert store.read("claim.json") == b"theirs"


def test_who_must_know_of_each_request_that_fails_hears_of_it_at_once(server: Server) -> None:
    store = server.store()
    lose_answers(server, "PUT", 1)
    with pytest.raises(NoAnswer):
        store.once().replace("a", [b"1"])
    lose_answers(server, "POST", 1, "delete")
    with pytest.raises(NoAnswer):
        store.once().remove("a")
    lose_answers(server, "PUT", 1)
    store.replace("a", [b"2"])
    lose_answers(server, "PUT", 1, "partNumber")
    store.once().replace("large", [b"x" * PART_BYTES, b"y"])
    assert [entry.name for entry in store.list()] == ["a", "large"]


def test_a_create_that_got_no_answer_at_all_is_recognised_when_it_is_asked_for_again(server: Server) -> None:
    store = server.store()
    server.lose_answer = lambda _: True
    with pytest.raises(NoAnswer):
        store.create("end.json", b"ours")
    server.lose_answer = lambda _: False
    assert not server.store(store.place.removeprefix("s3://")).create("end.json", b"ours"), "it is another one's"
    assert store.create("end.json", b"ours")
    assert not store.create("end.json", b"ours"), "it was asked for once more, after it had been answered"


def test_no_more_unanswered_creates_are_remembered_than_memory_holds(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.store.bucket._MOST_UNANSWERED", 1)
    store = server.store()
    server.lose_answer = lambda _: True
    for name in ("a", "b"):
        with pytest.raises(NoAnswer):
            store.create(name, b"ours")
    server.lose_answer = lambda _: False
    assert [store.create(name, b"ours") for name in ("a", "b")] == [True, False]


def test_a_large_file_is_streamed_by_parts_and_only_while_it_stays_the_same(server: Server) -> None:
    store, content = server.store(), bytes(range(256)) * (PART_BYTES // 100)
    store.replace("data.parquet", [content])
    before = server.requests["GET"]
    assert b"".join(store.stream("data.parquet")) == content
    assert server.requests["GET"] - before == -(-len(content) // PART_BYTES)
    pieces = store.stream("data.parquet")
    next(pieces)
    store.replace("data.parquet", [content[::-1]])
    with pytest.raises(FileChanged):
        list(pieces)
    # A log that became shorter after it was listed.
    with pytest.raises(FileChanged):
        store.read_range("data.parquet", len(content), 100)


def test_small_requests_are_given_up_before_a_worker_stops_for_want_of_a_heartbeat(server: Server) -> None:
    """A last try may begin just before the time for tries ends. The test reads the time-outs without waiting."""
    with access_to(server):
        store = open_bucket(f"s3://{server.make_bucket()}/v", retries=PATIENCE)
    options, retries = store._objects.client_options, store._objects.retry_config
    assert options is not None
    assert retries is not None
    seconds = float(str(options["timeout"]).removesuffix("s")) + retries["retry_timeout"].total_seconds()
    assert seconds < Settings().self_stop_seconds


def test_an_upload_whose_last_answer_was_lost_is_recognised_as_whole(server: Server) -> None:
    store = server.store()
    lose_answers(server, "POST", 3, "uploadId")
    store.replace("large", [b"x" * PART_BYTES, b"y"])
    assert [entry.size for entry in store.list()] == [PART_BYTES + 1]


def test_an_upload_that_did_not_come_to_its_end_is_an_error_and_no_object(server: Server) -> None:
    store = server.store()
    store.replace("large", [b"before"])
    lose_answers(server, "PUT", 100, "partNumber")
    with pytest.raises(NoAnswer, match="no answer from http://"):
        store.replace("large", [b"x" * PART_BYTES, b"y"])
    assert store.read("large") == b"before"


def test_a_bucket_that_is_gone_is_not_an_empty_one(server: Server) -> None:
    store = server.store("no-such-bucket")
    for call in (store.check, lambda: store.read("a"), lambda: store.create("a", b""), lambda: list(store.list())):
        with pytest.raises(StoreError, match="there is no such bucket at http://"):
            call()


def test_a_server_that_does_not_answer_is_named_and_no_secret_is(server: Server) -> None:
    with running_server() as stopped:
        store = stopped.store()
    with pytest.raises(NoAnswer, match=f"no answer from {stopped.url}; check the address") as caught:
        store.create("a", b"")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert "secret" not in repr(vars(store)) + str(caught.value)


def test_an_object_that_is_no_file_of_a_volume_is_named(server: Server) -> None:
    bucket = server.make_bucket()
    access = {"endpoint": server.url, "access_key_id": "k", "secret_access_key": "s"}
    obstore.put(S3Store(bucket, config=access, client_options={"allow_http": True}), "holiday photo.jpg", b"")
    with pytest.raises(StoreError, match=r"'holiday photo.jpg' is not a file of a volume; give Fitstop its own prefix"):
        list(server.store(bucket).list())


def test_a_name_that_is_too_long_for_an_object_is_refused_with_its_length(server: Server) -> None:
    with pytest.raises(BadName, match=r"its key has 2[0-9]{3} bytes, expected at most 1024"):
        server.store(prefix="p").create("/".join(["ü" * 100] * 4), b"")


def test_a_bucket_is_named_by_an_address_and_its_keys_come_from_the_environment(server: Server) -> None:
    with access_to(server):
        bucket = server.make_bucket()
        store = open_store(f"s3://{bucket}/a/b/")
        assert store.create("x", b"1")
    assert [entry.name for entry in server.store(bucket).list()] == ["a/b/x"]
    assert store.place == f"s3://{bucket}/a/b"


@pytest.mark.parametrize(
    "address", ["gs://bucket/a", "s3://", "s3:///a", "s3://key:hidden@bucket/a", "s3://bucket/a?key=hidden"]
)
def test_an_address_of_no_bucket_is_refused_and_its_secrets_are_not_repeated(address: str) -> None:
    with pytest.raises(BadName, match="expected s3://BUCKET or s3://BUCKET/PREFIX") as caught:
        open_bucket(address, KEYS)
    assert "hidden" not in str(caught.value)


def test_each_operation_makes_the_requests_that_the_document_says(server: Server) -> None:
    store = server.store()

    def count(operation: Callable[[], object]) -> int:
        before = server.requests.total()
        operation()
        return server.requests.total() - before

    assert count(lambda: store.create("a", b"1")) == 1
    assert count(lambda: store.create("a", b"2")) == 2
    assert count(lambda: store.replace("a", [b"3"])) == 1
    assert count(lambda: store.replace("large", [b"x" * PART_BYTES] * 3)) == 2 + 3
    assert count(lambda: store.read("a")) == 1
    assert count(lambda: store.read_range("a", 0, 1)) == 1
    assert count(lambda: list(store.list())) == 1
    assert count(lambda: store.remove("a")) == 1
