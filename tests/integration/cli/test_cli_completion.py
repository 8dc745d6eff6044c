"""Completion as a shell asks for it: by variables of the environment, from the program itself."""

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from fitstop.cli.main import main


def complete(url, *words, folder):
    """What bash is offered for the last word."""
    line = " ".join(["fitstop", *words])
    asked = {"_FITSTOP_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words))}
    environment = {**os.environ, "FITSTOP_URL": url, **asked}
    program = [sys.executable, "-c", "from fitstop.cli.main import run; run()"]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=False, cwd=folder, timeout=60)
    assert done.stderr == ""
    return [one.partition(",")[2] for one in done.stdout.splitlines() if one]


def test_jobs_are_completed_by_their_ids_and_by_names_that_one_job_has(canned, make_job, make_page, tmp_path):
    jobs = [make_job(1, name="wine"), make_job(2, name="pets"), make_job(3, name="pets")]
    canned.on("GET", "/jobs", make_page(*jobs))
    assert complete(canned.url, "show", "job_", folder=tmp_path) == [job["id"] for job in jobs]
    assert complete(canned.url, "rm", jobs[0]["id"], "w", folder=tmp_path) == ["wine"]
    assert complete(canned.url, "cancel", "p", folder=tmp_path) == []


def test_datasets_and_commands_are_completed(canned, make_page, tmp_path):
    canned.on("GET", "/datasets", make_page({"id": "wine", "kind": "table"}, {"id": "pets", "kind": "images"}))
    assert complete(canned.url, "datasets", "rm", "w", folder=tmp_path) == ["wine"]
    assert complete(canned.url, "datasets", "s", folder=tmp_path) == ["show"]


def test_a_service_that_does_not_answer_completes_nothing_and_shows_no_error(canned, tmp_path):
    assert complete("http://127.0.0.1:1", "show", "j", folder=tmp_path) == []
    assert complete("no address", "show", "j", folder=tmp_path) == []
    assert complete(canned.url, "show", "j", folder=tmp_path) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell_asks_this_program(shell):
    done = CliRunner().invoke(main, ["completion", shell], prog_name="fitstop")
    assert done.exit_code == 0
    assert f"_FITSTOP_COMPLETE={shell}_complete" in done.stdout
