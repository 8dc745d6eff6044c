"""fitstop run, and fitstop programs put, list, show, rm."""

import io
import json
import tarfile

import pytest

import fitstop as package
from fitstop.connection import Connection
from fitstop.errors import Unsendable
from fitstop.packing import pack

JOB = "job_01K0000000000000000000000A"
LIMITS = {"program": {"bytes": 10_000, "files": 5}}


@pytest.fixture
def script(fitstop, tmp_path, monkeypatch):
    folder = tmp_path / "cats"
    folder.mkdir()
    (folder / "train.py").write_text("print('hello')\n")
    monkeypatch.chdir(folder)
    return folder / "train.py"


@pytest.fixture
def service(canned, script):
    """A service without programs; `canned.asked` holds its requests."""

    def receive(asked):
        return 201, {"id": "cats", "version": "v" * 64, "warnings": ["mind the gap"], "broken": {"a.py": "line 2: no"}}

    canned.on("GET", "/limits", LIMITS)
    canned.on("PUT", "/programs/cats", receive)
    canned.on("POST", "/jobs", {"id": JOB, "status": "queued", "warnings": []}, 202)
    return canned


def bodies(canned):
    return {(one.method, one.path): one for one in canned.asked}


def posted(canned):
    return json.loads(bodies(canned)["POST", "/jobs"].body)


def test_a_script_is_sent_with_its_folder_and_a_job_runs_that_version(service, fitstop):
    result = fitstop("run", "train.py", "--detach")
    assert (result.exit_code, result.stdout) == (0, f"{JOB}\n")
    assert "program cats: 1 file, 15 B" in result.stderr
    assert "warning: mind the gap" in result.stderr
    assert "warning: a.py does not compile: line 2: no" in result.stderr
    sent = bodies(service)["PUT", "/programs/cats"]
    with tarfile.open(fileobj=io.BytesIO(sent.body)) as archive:
        assert archive.getnames() == ["train.py"]
    program = {"id": "cats", "version": "v" * 64, "entry": "train.py", "arguments": [], "datasets": []}
    assert posted(service) == {
        "name": None,
        "program": {**program, "environment": {}, "network": False},
        "callbacks": {"early_stopping": None},
        "budget": None,
    }


def test_every_option_is_in_the_spec(service, fitstop, script):
    (script.parent / "more.txt").write_text("polars\n")
    result = fitstop(
        *("run", "train.py", "--detach", "--with", "more.txt", "--dataset", "a", "--dataset", "b", "--network"),
        *("--env", "MODE=fast=1", "--early-stopping", "monitor=val_mae,patience=3", "--max-cost", "2.5"),
        *("--deadline", "2030-01-01T00:00:00Z", "--name", "night", "--", "--epochs", "5", "x y"),
    )
    assert result.exit_code == 0, result.stderr
    spec = posted(service)
    assert spec["program"]["arguments"] == ["--epochs", "5", "x y"]
    assert (spec["program"]["datasets"], spec["program"]["network"]) == (["a", "b"], True)
    assert spec["program"]["environment"] == {"MODE": "fast=1"}
    assert spec["callbacks"] == {"early_stopping": {"monitor": "val_mae", "patience": 3}}
    assert (spec["budget"], spec["name"]) == ({"max_cost": 2.5, "deadline": "2030-01-01T00:00:00Z"}, "night")
    with tarfile.open(fileobj=io.BytesIO(bodies(service)["PUT", "/programs/cats"].body)) as archive:
        assert archive.extractfile("requirements.txt").read() == b"polars\n"


def test_files_that_the_service_has_are_not_sent_again(service, fitstop, script):
    version = pack(script).version
    service.on("GET", "/programs/cats", {"id": "cats", "version": version})
    result = fitstop("run", "train.py", "--detach")
    assert result.exit_code == 0
    assert f"unchanged since version {version[:12]}" in result.stderr
    assert bodies(service)["GET", "/programs/cats"].query == {"version": version}
    assert ("PUT", "/programs/cats") not in bodies(service)
    assert posted(service)["program"]["version"] == version


def test_a_folder_is_run_by_its_entry(service, fitstop, script):
    assert fitstop("run", ".", "--detach").exit_code == 0
    assert posted(service)["program"]["entry"] is None
    assert fitstop("run", ".", "--entry", "src/fit.py", "--detach").exit_code == 0
    assert json.loads(service.asked[-1].body)["program"]["entry"] == "src/fit.py"
    assert "--entry is for a folder" in fitstop("run", "train.py", "--entry", "src/fit.py").stderr


def test_a_dry_run_names_each_file_and_sends_nothing(service, fitstop, script):
    (script.parent / ".env").write_text("KEY=1")
    result = fitstop("run", "train.py", "--dry-run")
    assert (result.exit_code, result.stdout) == (0, "train.py\n")
    assert "left out, hidden: .env" in result.stderr
    assert service.asked == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--epochs", "5"], "arguments of the script come after --"),
        (["--env", "=1"], "expected NAME=VALUE"),
        (["--early-stopping", "patience"], "is not an assignment"),
        (["--with", "missing.txt"], "does not exist"),
    ],
)
def test_a_wrong_option_is_explained_and_nothing_is_sent(service, fitstop, options, says):
    result = fitstop("run", "train.py", *options)
    assert (result.exit_code, says in result.stderr) == (2, True)
    assert service.asked == []


def test_a_program_above_the_limits_is_not_sent_and_its_largest_files_are_named(service, fitstop, script):
    (script.parent / "big.bin").write_bytes(bytes(20_000))
    result = fitstop("run", "train.py", "--detach")
    assert result.exit_code != 0
    assert "the program has 20.0 kB, and the service takes 10.0 kB" in result.stderr
    assert "big.bin (20.0 kB), train.py (15 B)" in result.stderr
    assert ("PUT", "/programs/cats") not in bodies(service)
    assert ("POST", "/jobs") not in bodies(service)


def test_run_script_posts_the_same_job_from_python(service, script):
    with package.Client(Connection(service.url, "key")) as client:
        run = package.run_script("train.py", ["--fast"], early_stopping={"patience": 3}, program="cats", client=client)
        assert run.id == JOB
        (script.parent / "big.bin").write_bytes(bytes(20_000))
        with pytest.raises(Unsendable):
            package.run_script(script, client=client)
    spec = posted(service)
    assert spec["program"]["arguments"] == ["--fast"]
    assert spec["callbacks"] == {"early_stopping": {"patience": 3}}


def listed(number):
    return {
        "id": f"p{number}", "version": "a" * 64, "file_count": 2, "bytes": 1500,
        "created_at": "2026-11-23T19:12:00.000Z",
    }  # fmt: skip


def test_programs_are_listed_page_by_page(canned, fitstop):
    def page(asked):
        first = not asked.query.get("after")
        return 200, {"object": "list", "data": [listed(1 if first else 2)], "has_more": first}

    canned.on("GET", "/programs", page)
    result = fitstop("programs", "list")
    assert [line.split()[:5] for line in result.stdout.splitlines()[1:]] == [
        ["p1", "aaaaaaaaaaaa", "2", "1.5", "kB"],
        ["p2", "aaaaaaaaaaaa", "2", "1.5", "kB"],
    ]
    assert len(json.loads(fitstop("programs", "list", "-o", "json").stdout)["data"]) == 2


def test_a_program_is_shown_with_its_files_and_put_and_removed(canned, fitstop, service):
    shown = {
        **listed(1), "project": "default", "default_entry": None, "has_requirements": True, "versions": ["a" * 64],
        "version_count": 3, "broken": {"old.py": "line 1: no"}, "files": [{"path": "lib/\x1b[31mx.py", "bytes": 12}],
    }  # fmt: skip
    canned.on("GET", "/programs/p1", shown)
    text = fitstop("programs", "show", "p1").stdout
    assert "aaaaaaaaaaaa and 2 more" in text
    assert "does not compile: line 1: no" in text
    assert "\x1b" not in text
    put = fitstop("programs", "put", "cats", "train.py")
    assert (put.exit_code, put.stdout) == (0, "v" * 64 + "\n")
    canned.on("GET", "/jobs", {"object": "list", "data": [], "has_more": False})
    canned.on("DELETE", "/programs/p1", b"", 204)
    assert fitstop("programs", "rm", "p1").exit_code == 0
