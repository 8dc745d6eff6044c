"""The promises of every store, on a folder and on a bucket, compared with a dict that keeps the same promises."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from shared.plain_files import MOST_DOCUMENT_BYTES, UnusableDocument
from shared.store.bucket import PART_BYTES
from shared.store.folder import FolderStore
from shared.store.interface import BadName, Store
from shared.store.segments import Overtaken, Segments
from tests.support.bucket import Server

# No name is the folder of another. A script's files may have any of these names.
NAMES = [
    "fitstop-volume.json",
    "jobs/ab/1/spec.json",
    "jobs/ab/1/attempts/1/files/ü é/a b+c%20d.txt",
    "jobs/ab/1/attempts/1/files/line\nbreak",
    os.fsdecode(b"jobs/ab/2/no-utf8-\xff\xfe"),
    "open/.hidden",
    "~'()*!&$@=;:,?#[]{}|\\^`\"<>",
    "x" * 255,
]
CONTENTS = st.sampled_from([b"", b"a", b"\0\xff" * 500])


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path, s3_server: Server) -> Store:
    return FolderStore(tmp_path / "store") if request.param == "folder" else s3_server.store(prefix="some/prefix")


class Calls(RuleBasedStateMachine):
    """Calls of a store, each compared with the same call on a dict."""

    store: Store

    def __init__(self) -> None:
        super().__init__()
        for entry in list(self.store.list()):
            self.store.remove(entry.name)
        self.model: dict[str, bytes] = {}

    @rule(name=st.sampled_from(NAMES), content=CONTENTS)
    def create(self, name: str, content: bytes) -> None:
        assert self.store.create(name, content) is (name not in self.model)
        self.model.setdefault(name, content)

    @rule(name=st.sampled_from(NAMES), pieces=st.lists(CONTENTS, max_size=3))
    def replace(self, name: str, pieces: list[bytes]) -> None:
        self.store.replace(name, iter(pieces))
        self.model[name] = b"".join(pieces)

    @rule(name=st.sampled_from(NAMES))
    def remove(self, name: str) -> None:
        self.store.remove(name)
        self.model.pop(name, None)

    @rule(name=st.sampled_from(NAMES))
    def read(self, name: str) -> None:
        assert self.store.read(name) == self.model.get(name)

    @rule(name=st.sampled_from(NAMES), start=st.integers(0, 1100), length=st.integers(1, 1100))
    def read_range(self, name: str, start: int, length: int) -> None:
        content = self.model.get(name)
        if content is None:
            with pytest.raises(FileNotFoundError):
                self.store.read_range(name, start, length)
        elif start < len(content):
            assert self.store.read_range(name, start, length) == content[start : start + length]

    @rule(folder=st.sampled_from(["jobs", "jobs/ab/1", "jobs/a", "open", "nothing"]))
    def list_a_folder(self, folder: str) -> None:
        expected = {name for name in self.model if name.startswith(f"{folder}/")}
        assert {entry.name for entry in self.store.list(folder)} == expected

    @invariant()
    def lists_all(self) -> None:
        found = sorted((entry.name, entry.size) for entry in self.store.list())
        assert found == sorted((name, len(content)) for name, content in self.model.items())


def test_every_sequence_of_calls_does_what_it_does_to_a_dict(store: Store) -> None:
    few = settings(max_examples=8, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(type("CallsOfThisStore", (Calls,), {"store": store}), settings=few)


def test_of_many_who_create_a_file_one_wins_and_it_is_the_winners(store: Store) -> None:
    start = threading.Barrier(8)

    def create(number: int) -> bool:
        start.wait()
        return store.create("deep/er/race", str(number).encode())

    with ThreadPoolExecutor(8) as pool:
        won = [number for number, has_won in enumerate(pool.map(create, range(8))) if has_won]
    assert len(won) == 1
    assert store.read("deep/er/race") == str(won[0]).encode()


def test_a_file_of_several_parts_is_written_and_read_in_pieces(store: Store) -> None:
    pieces = [bytes([number]) * (PART_BYTES // 2 + number) for number in range(4)]
    store.replace("large", iter(pieces))
    whole = b"".join(pieces)
    assert [entry.size for entry in store.list()] == [len(whole)]
    read = [store.read_range("large", start, PART_BYTES) for start in range(0, len(whole), PART_BYTES)]
    assert b"".join(read) == whole


@pytest.mark.parametrize("error", [RuntimeError("the source is gone"), OSError("the source is gone")])
@pytest.mark.parametrize("bytes_before", [0, 2 * PART_BYTES])
def test_what_pieces_raise_reaches_the_caller_and_the_file_stays_as_it_was(
    store: Store, bytes_before: int, error: Exception
) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x" * bytes_before
        raise error

    store.replace("file", [b"before"])
    with pytest.raises(type(error)) as caught:
        store.replace("file", broken())
    assert caught.value is error
    assert store.read("file") == b"before"
    assert [entry.name for entry in store.list()] == ["file"]


def test_a_list_shows_that_a_file_has_changed(store: Store) -> None:
    store.replace("file", [b"one"])
    (before,) = store.list()
    assert list(store.list()) == [before]
    store.replace("file", [b"two"])
    (after,) = store.list()
    assert after.version != before.version


@pytest.mark.parametrize("name", ["", "/", "a//b", "/a", "a/", ".", "..", "../a", "a/../b", "a/./b", "a\0b", "x" * 256])
def test_a_name_that_leads_out_of_the_store_or_is_none_is_refused_by_every_call(store: Store, name: str) -> None:
    calls = [
        lambda: store.create(name, b""),
        lambda: store.replace(name, [b""]),
        lambda: store.read(name),
        lambda: store.read_range(name, 0, 1),
        lambda: store.remove(name),
        lambda: list(store.list(name)) if name else store.read(name),
    ]
    for call in calls:
        with pytest.raises(BadName):
            call()
    assert list(store.list()) == []


def test_a_file_that_is_too_long_for_a_document_is_not_read_whole(store: Store) -> None:
    store.replace("long", [b"x" * (MOST_DOCUMENT_BYTES + 1)])
    with pytest.raises(UnusableDocument, match="expected at most 16777216"):
        store.read("long")


def test_segments_are_read_in_order_and_a_second_writer_is_found_out(store: Store) -> None:
    ours, theirs = Segments(store, "log"), Segments(store, "log")
    for number in range(11):
        ours.append(str(number).encode())
    assert list(Segments(store, "log").read_all()) == [str(number).encode() for number in range(11)]
    with pytest.raises(Overtaken, match="another process has written"):
        theirs.append(b"other")
    ours.remove()
    assert list(store.list()) == []
