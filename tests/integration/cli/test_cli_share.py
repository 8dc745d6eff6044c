"""share against the canned service: a link is created, listed and revoked."""

import json

import pytest
from click.shell_completion import ShellComplete

from fitstop.cli.main import main


@pytest.fixture
def job(canned, make_job, make_page):
    found = make_job(2, "succeeded")
    canned.on("GET", "/jobs", make_page(found))
    canned.on("GET", f"/jobs/{found['id']}", found)
    return found


def link(job, **values):
    return {
        "object": "share", "id": "share_aaaabbbbcccc", "job": job["id"], "key_id": "key_1",
        "created_at": "2026-11-23T19:12:00.000Z", "expires_at": "2026-12-23T19:12:00.000Z", **values,
    }  # fmt: skip


def test_a_link_is_printed_whole_with_the_days_that_were_asked_for(fitstop, canned, job):
    path = f"/page/shared/{job['id']}#fss_token"
    canned.on("POST", f"/jobs/{job['id']}/shares", link(job, token="fss_token", url=path), 201)
    created = fitstop("share", "wine", "--days", 30)
    assert created.stdout == f"{canned.url}{path}\n"
    assert json.loads(canned.asked[-1].body) == {"expires_in_days": 30}
    assert "share_aaaabbbbcccc" in created.stderr
    assert "until 2026-12-23" in created.stderr
    assert json.loads(fitstop("share", job["id"], "-o", "json").stdout)["url"] == f"{canned.url}{path}"


def test_the_links_of_a_job_are_listed_and_one_is_revoked(fitstop, canned, job, make_page):
    path = f"/jobs/{job['id']}/shares"
    canned.on("GET", path, make_page(link(job), link(job, id="share_ddddeeeeffff", expires_at=None)))
    listed = fitstop("share", "wine", "--list").stdout.splitlines()
    assert [line.split()[0] for line in listed] == ["ID", "share_aaaabbbbcccc", "share_ddddeeeeffff"]
    assert listed[1].endswith("2026-12-23")
    assert listed[2].endswith("with its key")
    canned.on("DELETE", f"{path}/share_aaaabbbbcccc", b"", 204)
    assert fitstop("share", "wine", "--revoke", "share_aaaabbbbcccc").exit_code == 0
    assert (canned.asked[-1].method, canned.asked[-1].path) == ("DELETE", f"{path}/share_aaaabbbbcccc")
    canned.on("GET", path, make_page())
    assert "creates one" in fitstop("share", "wine", "--list").stderr


def test_only_one_thing_is_done_at_a_time(fitstop, job):
    assert fitstop("share", "wine", "--list", "--days", 3).exit_code == 2
    assert fitstop("share", "wine", "--list", "--revoke", "share_aaaabbbbcccc").exit_code == 2


@pytest.mark.parametrize("typed", [["wine", "--revoke"], ["--revoke"]])
def test_a_shell_completes_the_links_of_the_job_that_was_typed(canned, job, make_page, typed, monkeypatch):
    monkeypatch.setenv("FITSTOP_URL", canned.url)
    canned.on("GET", f"/jobs/{job['id']}/shares", make_page(link(job)))
    shell = ShellComplete(main, {}, "fitstop", "_FITSTOP_COMPLETE")
    completed = [one.value for one in shell.get_completions(["share", *typed], "share_")]
    assert completed == (["share_aaaabbbbcccc"] if "wine" in typed else [])
