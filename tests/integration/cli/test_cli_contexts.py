"""fitstop login, and fitstop context list, use, remove."""

import json
import stat

import pytest
from click.testing import CliRunner

from fitstop.cli.main import main


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "config" / "fitstop"


@pytest.fixture
def service(canned, make_page):
    """A service that accepts the key `good`."""

    def jobs(asked):
        if asked.headers.get("Authorization") != "Bearer good":
            return 401, {"status": 401, "title": "Unauthorized", "detail": "this API key is not known"}
        return 200, make_page()

    canned.on("GET", "/jobs", jobs)
    return canned


def run(*arguments, stdin=None):
    return CliRunner().invoke(main, list(map(str, arguments)), input=stdin)


def test_a_key_that_the_service_takes_is_kept_for_this_user_alone(home, service):
    done = run("login", service.url, "--name", "lab", stdin="good\n")
    assert done.exit_code == 0, done.output
    assert "good" not in done.output
    assert [stat.S_IMODE(path.stat().st_mode) for path in (home, home / "contexts.json")] == [0o700, 0o600]
    assert [path.name for path in home.iterdir()] == ["contexts.json"]
    assert run("ps").exit_code == 0
    assert run("--context", "nobody", "ps").exit_code == 2
    assert run("--context", "lab", "ps").exit_code == 0


def test_the_key_is_asked_for_and_not_shown(home, service, monkeypatch):
    monkeypatch.setattr("fitstop.cli.contexts._can_ask", lambda: True)
    done = run("login", service.url, stdin="good\n")
    assert (done.exit_code, "API key for http://127.0.0.1" in done.stderr, "good" in done.output) == (0, True, False)


@pytest.mark.parametrize(("key", "code"), [("bad", 4), ("", 2), ("clé", 2)])
def test_a_key_that_the_service_refuses_is_not_kept(home, service, key, code):
    done = run("login", service.url, stdin=f"{key}\n")
    assert (done.exit_code, home.exists()) == (code, False)


def test_what_is_no_service_of_fitstop_is_not_kept(home, canned):
    canned.on("GET", "/jobs", b"<html>")
    assert (run("login", canned.url, stdin="good\n").exit_code, home.exists()) == (7, False)
    assert (run("login", "http://127.0.0.1:1", stdin="good\n").exit_code, home.exists()) == (5, False)
    assert (run("login", "gpu.example", stdin="good\n").exit_code, home.exists()) == (2, False)


def test_contexts_are_listed_without_keys_chosen_and_removed(home, service):
    assert "fitstop login" in run("context", "list").stderr
    run("login", service.url, "--name", "lab", stdin="good\n")
    run("login", service.url.replace("127.0.0.1", "localhost"), stdin="good\n")
    listed = json.loads(run("context", "list", "-o", "json").stdout)["data"]
    assert [(one["name"].partition(":")[0], one["is_current"]) for one in listed] == [
        ("lab", False),
        ("localhost", True),
    ]
    assert "good" not in run("context", "list").output
    assert run("context", "use", "lab").exit_code == 0
    assert run("context", "list").stdout.splitlines()[1].split() == ["*", "lab", service.url]
    assert run("context", "use", "x").exit_code == 2
    assert "no context is the current one" in run("context", "remove", "lab").stderr
    assert "lab" not in (home / "contexts.json").read_text()


def test_variables_that_have_precedence_are_named(home, service, monkeypatch):
    monkeypatch.setenv("FITSTOP_URL", "https://other.example")
    assert "FITSTOP_URL is set and has precedence" in run("login", service.url, stdin="good\n").stderr
