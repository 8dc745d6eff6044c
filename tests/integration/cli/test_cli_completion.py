"""Completion as a shell asks for it: by variables of the environment, from the program itself."""

import os
import subprocess
import sys

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from fitstop.cli.main import main


def complete(url, *words, folder):
    """Return what bash offers for the last word."""
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


@pytest.fixture
def sweeps(canned, make_job, make_page):
    named = [("01", "cancer"), ("02", "grades"), ("03", "grades")]
    found = [{"id": f"sweep_{id_:0>26}", "name": name, "status": "running"} for id_, name in named]
    canned.on("GET", "/sweeps", make_page(*found))
    canned.on("GET", "/jobs", make_page(make_job(1, name="swine")))
    return found


def offered(command, begin):
    """Return what any shell offers, asked in this process."""
    return [one.value for one in ShellComplete(main, {}, "fitstop", "").get_completions([command], begin)]


def test_sweeps_are_completed_by_their_ids_and_by_names_that_one_sweep_has(canned, sweeps, tmp_path, monkeypatch):
    assert complete(canned.url, "trials", "sweep_", folder=tmp_path) == [sweep["id"] for sweep in sweeps]
    monkeypatch.setenv("FITSTOP_URL", canned.url)
    assert offered("trials", "c") == ["cancer"]
    assert offered("trials", "g") == []


@pytest.mark.parametrize("command", ["watch", "show", "cancel", "extend", "explain", "replay", "rm"])
def test_a_command_of_jobs_and_sweeps_completes_the_ids_of_both(canned, sweeps, monkeypatch, command):
    monkeypatch.setenv("FITSTOP_URL", canned.url)
    assert offered(command, "s") == ["swine", *(sweep["id"] for sweep in sweeps)]
    assert offered(command, "c") == [], "a sweep is named by its id alone"


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
