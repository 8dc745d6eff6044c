"""GET /jobs/{id}/output: text with ranges, JSON pages, the last lines, and a stream."""

import json

import pytest

from shared.job import AttemptEnd, Ending
from shared.output import segment_name
from shared.times import utc_now
from tests.support.jobs import claim

JSON = {"Accept": "application/json"}
STREAM = {"Accept": "text/event-stream"}


def end(attempt):
    attempt.close(AttemptEnd(outcome="lost", ended_at=utc_now()))


@pytest.fixture
def printed(job):
    """A finished job of two attempts that printed."""
    first = claim(job, 1)
    first.output_file.write_bytes(b"one\n\x1b[31mred\ntorn")
    end(first)
    second = claim(job, 2)
    second.output_file.write_bytes(b"two\nlast\n")
    end(second)
    job.settle(Ending(status="succeeded"), attempt=2)
    return job


def text_of(client, job, query="", **headers):
    answer = client.get(f"/jobs/{job.id}/output{query}", headers=headers)
    return answer.status_code, answer.get_data(as_text=True), answer


def test_the_text_names_each_attempt_and_holds_nothing_that_a_terminal_executes(client, printed):
    status, text, answer = text_of(client, printed)
    first, _, second = text.partition("==> attempt 2")
    assert status == 200
    assert first.startswith("==> attempt 1 on ")
    assert first.endswith(" <==\none\n\\x1b[31mred\ntorn\n")
    assert second.endswith(" <==\ntwo\nlast\n")
    assert answer.content_type == "text/plain; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_range_is_a_part_of_the_text(client, printed):
    _, text, _ = text_of(client, printed)
    status, part, answer = text_of(client, printed, Range="bytes=4-13")
    assert (status, part) == (206, text[4:14])
    assert answer.headers["Content-Range"] == f"bytes 4-13/{len(text)}"
    assert text_of(client, printed, Range="bytes=-5")[1] == text[-5:]
    assert text_of(client, printed, Range="bytes=99999-")[0] == 416


def test_the_last_lines_reach_into_earlier_attempts(client, printed):
    assert text_of(client, printed, "?lines=1")[1].endswith(" <==\nlast\n")
    text = text_of(client, printed, "?lines=3")[1]
    assert "torn\n==> attempt 2" in text
    assert "red" not in text
    assert text_of(client, printed, "?lines=2&attempt=1")[1].endswith(" <==\n\\x1b[31mred\ntorn")


def test_the_last_lines_say_where_output_between_them_was_removed(client, job):
    attempt = claim(job)
    attempt.output_file.write_bytes(b"one\ntwo\n")
    (attempt.path / segment_name(100)).write_bytes(b"three\nfour\n")
    assert text_of(client, job, "?lines=3")[1].endswith(
        " <==\ntwo\n[... 92 bytes were removed here ...]\nthree\nfour\n"
    )
    assert text_of(client, job, "?lines=2")[1].endswith(" <==\n[... 92 bytes were removed here ...]\nthree\nfour\n")
    assert text_of(client, job, "?lines=1")[1].endswith(" <==\nfour\n")


def test_pages_follow_a_cursor(client, printed):
    whole = client.get(f"/jobs/{printed.id}/output", headers=JSON).json
    assert [(piece["attempt"], piece["text"]) for piece in whole["data"]] == [
        (1, "one\n\\x1b[31mred\ntorn"),
        (2, "two\nlast\n"),
    ]
    assert not whole["has_more"]
    rest = client.get(f"/jobs/{printed.id}/output?after=2:4", headers=JSON).json
    assert [piece["text"] for piece in rest["data"]] == ["last\n"]
    end_of_it = client.get(f"/jobs/{printed.id}/output?after={whole['next']}", headers=JSON).json
    assert (end_of_it["data"], end_of_it["next"]) == ([], whole["next"])


def test_a_long_output_comes_in_several_pages(client, job, monkeypatch):
    monkeypatch.setattr("api.jobs.output._PAGE_BYTES", 100)
    monkeypatch.setattr("api.jobs.output._PIECE_BYTES", 40)
    attempt = claim(job)
    lines = [f"line {number}" for number in range(50)]
    attempt.output_file.write_text("\n".join([*lines, ""]))
    after, pages, found = "0:0", 0, ""
    has_more = True
    while has_more:
        page = client.get(f"/jobs/{job.id}/output?after={after}", headers=JSON).json
        found += "".join(piece["text"] for piece in page["data"])
        after, has_more, pages = page["next"], page["has_more"], pages + 1
    assert found.splitlines() == lines
    assert pages > 2


def test_the_stream_gives_what_is_printed_and_ends_with_the_job(client, job):
    attempt = claim(job)
    attempt.output_file.write_bytes(b"first\n")
    answer = client.get(f"/jobs/{job.id}/output", headers=STREAM)
    pieces = iter(answer.iter_encoded())
    assert next(pieces).startswith(b": connected")
    assert b'"text":"first\\n"' in next(pieces)
    with attempt.output_file.open("ab") as file:
        file.write(b"second\n")
    end(attempt)
    job.settle(Ending(status="succeeded"), attempt=1)
    rest = b"".join(pieces).decode()
    assert '"text":"second\\n"' in rest
    assert "id: 1:13\nevent: end\n" in rest
    answer.close()
    resumed = client.get(f"/jobs/{job.id}/output", headers={**STREAM, "Last-Event-ID": "1:6"}, buffered=True)
    data = [line for line in resumed.get_data(as_text=True).splitlines() if line.startswith("data: ")]
    assert json.loads(data[0].removeprefix("data: "))["text"] == "second\n"


def test_a_stream_of_output_counts_as_a_stream_of_its_key(client, job):
    taken = [client.get(f"/jobs/{job.id}/output", headers=STREAM) for _ in range(2)]
    assert client.get(f"/jobs/{job.id}/output", headers=STREAM).status_code in {429, 503}
    for one in taken:
        one.close()
    assert client.get(f"/jobs/{job.id}/output", headers=STREAM).status_code == 200


def test_a_job_that_printed_nothing_has_an_empty_output(client, job):
    assert text_of(client, job)[:2] == (200, "")
    assert client.get(f"/jobs/{job.id}/output", headers=JSON).json == {
        "object": "list", "data": [], "has_more": False, "next": "0:0",
    }  # fmt: skip


@pytest.mark.parametrize("query", ["lines=0", "lines=10001", "after=x", "attempt=0", "tail=3"])
def test_a_wrong_question_is_422(client, job, query):
    assert client.get(f"/jobs/{job.id}/output?{query}").status_code == 422
