"""The event stream: whole lines only, whatever tears its tail, and a cursor that neither skips nor repeats."""

import os
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.events import Cursor, Event, EventWriter, PlacedEvent, job_events, last_event, read_events
from tests.unit.shared.records import handed_back, posted, taken

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(), below, max_size=3),
    max_leaves=6,
)
EVENTS = st.builds(
    Event,
    type=st.sampled_from(["epoch", "state", "checkpoint"]) | st.text(),
    message=st.text(),
    data=st.dictionaries(st.text(), JSON, max_size=3),
    level=st.sampled_from(["info", "warning", "error"]),
    time=st.just("2026-11-23T19:12:00.000Z"),
)


def event(number, kind="epoch", **data):
    return Event(kind, f"number {number}", {"number": number, **data}, time="2026-11-23T19:12:00.000Z")


def write(path, *events):
    with EventWriter(path) as writer:
        writer.write(events)


def read(path, offset=0):
    return [one for _, one in read_events(path, offset)]


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@given(st.lists(EVENTS, max_size=6))
def test_what_is_written_is_read_and_every_cursor_goes_on_where_it_stands(events):
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "events.jsonl"
        write(path, *events)
        placed = list(read_events(path))
        assert [one for _, one in placed] == events
        assert path.read_bytes().count(b"\n") == len(events)
        for number, (offset, _) in enumerate(placed, start=1):
            assert read(path, offset) == events[number:]


@given(st.lists(EVENTS, min_size=1, max_size=4), st.data())
@settings(max_examples=60)
def test_a_tail_torn_at_any_byte_is_not_there_yet_and_the_next_writer_begins_a_line_of_its_own(events, data):
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "events.jsonl"
        write(path, *events)
        content = path.read_bytes()
        kept = data.draw(st.integers(0, len(content)), label="bytes kept")
        path.write_bytes(content[:kept])
        whole = content[:kept].count(b"\n")
        assert read(path) == events[:whole]
        offset = max((after for after, _ in read_events(path)), default=0)
        write(path, event(99))
        assert read(path) == [*events[:whole], event(99)]
        assert read(path, offset) == [event(99)], "a reader that saw the torn tail goes on with the next event"


def test_every_single_byte_of_a_torn_tail_is_survived(folder):
    path = folder / "events.jsonl"
    write(path, event(1), event(2, text="Grüner Veltliner 🍷"))
    content = path.read_bytes()
    first = content.index(b"\n") + 1
    for kept in range(first, len(content)):
        path.write_bytes(content[:kept])
        assert read(path) == [event(1)]
        write(path, event(3))
        assert read(path) == [event(1), event(3)]


def test_a_line_that_was_torn_and_closed_by_a_later_writer_is_passed_over(folder):
    path = folder / "events.jsonl"
    torn = [b'{"time":"', b"null", b"[]", b'"x"', b"\xff\xfe", b'{"type":"epoch"}', b"", b"1" * 5000]
    path.write_bytes(b"".join(event(1).line() + line + b"\n" for line in torn) + event(2).line())
    assert read(path) == [event(1)] * len(torn) + [event(2)]


def test_where_there_is_no_file_there_are_no_events(folder):
    assert read(folder / "events.jsonl") == []


def test_an_event_has_the_moment_at_which_it_was_written(folder):
    write(folder / "events.jsonl", Event("state", "running", {}))
    (one,) = read(folder / "events.jsonl")
    assert one.time.endswith("Z")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_never_stands_in_an_event(folder, value):
    with EventWriter(folder / "events.jsonl") as writer, pytest.raises(ValueError, match="not JSON compliant"):
        writer.write([event(1, loss=value)])
    assert read(folder / "events.jsonl") == []


def test_what_two_writers_append_stays_whole(folder):
    path = folder / "events.jsonl"
    with EventWriter(path) as one, EventWriter(path) as other:
        for number in range(50):
            (one if number % 2 else other).write([event(number)])
    assert read(path) == [event(number) for number in range(50)]


def test_a_write_that_the_disk_takes_in_pieces_is_brought_to_its_end(folder, monkeypatch):
    whole = os.write
    monkeypatch.setattr("shared.events.os.write", lambda descriptor, content: whole(descriptor, content[:7]))
    write(folder / "events.jsonl", event(1), event(2))
    assert read(folder / "events.jsonl") == [event(1), event(2)]


@given(st.integers(0, 10**9), st.integers(0, 2**44))
def test_a_cursor_comes_back_from_its_text(attempt, offset):
    cursor = Cursor(attempt, offset)
    assert Cursor.parse(str(cursor)) == cursor


@given(st.text(max_size=50) | st.from_regex(r"\A[0-9]{0,30}:[0-9]{0,30}\Z"))
def test_what_is_no_cursor_is_a_value_error_and_nothing_else(text):
    try:
        cursor = Cursor.parse(text)
    except ValueError:
        return
    assert cursor.attempt >= 0
    assert cursor.offset >= 0


@pytest.mark.parametrize("text", ["", ":", "1", "1:", ":1", "-1:0", "1:-1", "1:1:1", "a:b", "1.0:0", " 1:1", "²:1"])
def test_malformed_cursors_are_refused(text):
    with pytest.raises(ValueError, match="not a cursor"):
        Cursor.parse(text)


@pytest.mark.parametrize("offset", [10**4, 2**44, 2**53 + 1, 2**63 - 1, 2**63, 10**30])
def test_a_cursor_far_behind_the_end_reads_nothing(folder, offset):
    write(folder / "events.jsonl", event(1))
    assert read(folder / "events.jsonl", Cursor.parse(f"1:{offset}").offset) == []


@given(st.integers(0, 400))
@settings(max_examples=40)
def test_a_cursor_that_points_into_a_line_reads_the_whole_lines_behind_it(offset):
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "events.jsonl"
        events = [event(number) for number in range(3)]
        write(path, *events)
        content = path.read_bytes()
        begun = content[:offset].count(b"\n") + (0 < offset < len(content) and content[offset - 1] != 10)
        assert read(path, offset) == events[begun:]


def test_a_job_tells_its_attempts_one_after_the_other_from_any_cursor(volume):
    job = posted(volume)
    for number in (1, 2, 3):
        attempt = taken(job, number)
        write(attempt.events_file, event(number), event(number * 10))
        attempt.close(handed_back())
    told = list(job_events(job))
    assert [(one.attempt, one.event.data["number"]) for one in told] == [
        (1, 1), (1, 10), (2, 2), (2, 20), (3, 3), (3, 30)
    ]  # fmt: skip
    assert all(one.after.attempt == one.attempt for one in told)
    for read_so_far, one in enumerate(told, start=1):
        assert list(job_events(job, one.after)) == told[read_so_far:]
        assert isinstance(one, PlacedEvent)
    assert sorted(one.after for one in told) == [one.after for one in told]


def test_a_reader_that_waits_at_the_end_hears_the_next_attempt(volume):
    job = posted(volume)
    first = taken(job, 1)
    write(first.events_file, event(1))
    (seen,) = job_events(job)
    first.close(handed_back())
    write(taken(job, 2).events_file, event(2))
    assert [one.event for one in job_events(job, seen.after)] == [event(2)]


def test_the_last_event_of_a_type_is_found_at_the_end_of_a_long_file_only(volume):
    attempt = taken(posted(volume))
    assert last_event(attempt, "epoch") is None
    write(attempt.events_file, event(1, "state"), *(event(number, "epoch", pad="x" * 900) for number in range(200)))
    assert last_event(attempt, "epoch").data["number"] == 199
    assert last_event(attempt, "state") is None, "further back than anybody looks"
    with attempt.events_file.open("ab") as file:
        file.write(b'{"type":"epoch","torn')
    assert last_event(attempt, "epoch").data["number"] == 199


def test_what_a_superseded_owner_writes_after_its_end_is_not_seen(volume):
    job = posted(volume)
    attempt = taken(job)
    with EventWriter(attempt.events_file) as owner:
        owner.write([Event("epoch", "epoch 1", {"epoch": 1})])
        attempt.close(handed_back())
        owner.write([Event("epoch", "epoch 2, by a zombie", {"epoch": 2})])
    assert [placed.event.message for placed in job_events(job)] == ["epoch 1"]
    last = last_event(attempt, "epoch")
    assert last is not None
    assert last.message == "epoch 1"


def test_what_the_owner_writes_says_how_long_after_the_claim_it_was_by_its_monotonic_clock(folder):
    path = folder / "events.jsonl"
    before = time.monotonic()
    with EventWriter(path, before - 100) as writer:
        writer.write([event(1)])
    [written] = read(path)
    assert 100 <= written.at <= 100 + time.monotonic() - before
    assert written.at == round(written.at, 6)


@pytest.mark.parametrize(
    ("written", "seen"), [("-1", 0.0), ("7", 7.0), ("true", None), ('"7"', None), ("NaN", None), ("null", None)]
)
def test_a_measured_time_that_is_none_is_passed_over(folder, written, seen):
    path = folder / "events.jsonl"
    write(path, event(1))
    path.write_text(path.read_text().replace('"type"', f'"at":{written},"type"', 1))
    assert [one.at for one in read(path)] == [seen]


@pytest.mark.parametrize("whole", [0, 1, 3])
def test_a_torn_tail_of_any_length_is_cut_off(folder, whole):
    path = folder / "events.jsonl"
    write(path, *(event(number, text="x" * 50_000) for number in range(whole)))
    with path.open("ab") as file:
        file.write(b"y" * 200_000)
    write(path, event(99))
    assert [one.data["number"] for one in read(path)] == [*range(whole), 99]
