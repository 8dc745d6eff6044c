"""tag, note and `ps --tag` against the canned service."""

import json

import pytest

PROBLEM = {
    "title": "Unprocessable", "status": 422, "detail": "1 problem", "code": "invalid",
    "errors": [{"pointer": "#/add_tags", "detail": "the job would have 33 tags", "code": "too_many_tags"}],
}  # fmt: skip


@pytest.fixture
def jobs(canned, make_job, make_page):
    found = [make_job(2, "failed", tags=["a", "b\x1b[2J"], note="one\ntwo"), make_job(1, tags=[], note="")]
    canned.on("GET", "/jobs", make_page(*found))
    for one in found:
        canned.on("GET", f"/jobs/{one['id']}", one)
    return found


def test_tags_are_changed_on_every_job_and_printed_without_options(fitstop, canned, jobs):
    for one in jobs:
        canned.on("PATCH", f"/jobs/{one['id']}", {**one, "tags": ["keep"]})
    changed = fitstop("tag", jobs[0]["id"], jobs[1]["id"], "--add", "keep", "--remove", "a")
    assert (changed.exit_code, changed.stderr.count(": keep")) == (0, 2)
    assert json.loads(canned.asked[-1].body) == {"add_tags": ["keep"], "remove_tags": ["a"]}
    printed = fitstop("tag", jobs[0]["id"])
    assert printed.stdout.splitlines()[0] == "a"
    assert "\x1b" not in printed.stdout
    canned.on("PATCH", f"/jobs/{jobs[0]['id']}", PROBLEM, 422)
    refused = fitstop("tag", jobs[0]["id"], "--add", "x")
    assert refused.exit_code != 0
    assert "33 tags" in refused.stderr


def test_a_note_is_written_read_and_removed(fitstop, canned, jobs):
    job = jobs[0]["id"]
    canned.on("PATCH", f"/jobs/{job}", jobs[0])
    assert fitstop("note", job).stdout == "one\ntwo\n"
    assert fitstop("note", jobs[1]["id"]).stdout == ""
    for arguments, note in ((("new",), "new"), (("--clear",), "")):
        assert fitstop("note", job, *arguments).exit_code == 0
        assert json.loads(canned.asked[-1].body) == {"note": note}
    assert fitstop("note", job, "new", "--clear").exit_code == 2


def test_jobs_are_listed_by_tag_and_shown_with_tags_and_note(fitstop, canned, jobs):
    assert fitstop("ps", "--tag", "a").exit_code == 0
    assert any(one.path == "/jobs" and one.query.get("tag") == "a" for one in canned.asked)
    shown = fitstop("show", jobs[0]["id"]).stdout
    assert "tags" in shown
    assert "two" in shown
    assert "\x1b[2J" not in shown
