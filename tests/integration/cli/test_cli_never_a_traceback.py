"""Every command against a service that is unreachable, fails or answers nonsense, and with files that cannot be read.

Each prints one message on stderr and ends with a status that says what happened, and never with a traceback.
"""

import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from fitstop.cli.main import main

JOB = "job_01K80000000000000000000001"
SWEEP = "sweep_01K80000000000000000000001"
SPEC = {"dataset": {"id": "wine", "target": "quality"}}
FILES = {
    "job.json": json.dumps(SPEC),
    "sweep.json": json.dumps({"job": SPEC, "space": {"/hyperparameters/seed": {"values": [1, 2]}}}),
    "data.csv": "a,b\n1,2\n",
    "train.py": "print('hello')\n",
    "weights.h5": "weights",
}

# The arguments for each command that sends requests to the service.
ASKING: dict[str, list[list[str]]] = {
    "run": [["train.py", "--detach"]],
    "submit": [["job.json"], ["job.json", "--watch"]],
    "sweep": [["sweep.json"]],
    "ps": [[], ["-a"], ["--sort", "best"]],
    "sweeps": [[]],
    "trials": [[SWEEP]],
    "show": [[JOB], ["wine"]],
    "watch": [[JOB]],
    "events": [[JOB], [JOB, "-f"]],
    "logs": [[JOB], [JOB, "-f"]],
    "log": [[JOB]],
    "cancel": [[JOB]],
    "retry": [[JOB]],
    "extend": [[JOB, "--epochs", "9"]],
    "tag": [[JOB], [JOB, "--add", "x"]],
    "note": [[JOB], [JOB, "x"]],
    "share": [[JOB], [JOB, "--list"], [JOB, "--revoke", "share_aaaabbbbcccc"]],
    "rm": [[JOB, "--yes"]],
    "download": [[JOB]],
    "bundle": [[JOB]],
    "evaluation": [[JOB]],
    "system": [[JOB]],
    "explain": [[JOB]],
    "replay": [[JOB, "--patience", "3"]],
    "patience": [[]],
    "usage": [[]],
    "plot": [[JOB]],
    "export tensorboard": [[JOB, "--to", "runs"]],
    "export mlflow": [[JOB, "--uri", "http://127.0.0.1:1"]],
    "open": [[]],
    "datasets put": [["wine", "data.csv"]],
    "datasets ls": [[]],
    "datasets show": [["wine"]],
    "datasets rm": [["wine"]],
    "models put": [["base", "weights.h5"]],
    "models list": [[]],
    "models show": [["base"]],
    "models rm": [["base"]],
    "programs put": [["mine", "train.py"]],
    "programs list": [[]],
    "programs show": [["mine"]],
    "programs rm": [["mine"]],
    "keys create": [["anna"]],
    "keys list": [[]],
    "keys revoke": [["key_1"]],
    "webhooks add": [["https://example.org/"]],
    "webhooks list": [[]],
    "webhooks show": [["wh_1"]],
    "webhooks test": [["wh_1"]],
    "webhooks rm": [["wh_1"]],
    "workers": [[]],
    "queue": [[]],
}
# Commands that send no request to the service, or start one.
OWN = {
    "up", "down", "demo", "login", "context list", "context use", "context remove", "config", "doctor", "completion",
    "volume copy",
}  # fmt: skip

PROBLEM = {"title": "No", "detail": "because", "status": 500, "code": "no"}
# Status, body and headers of every answer; without a status the server hangs up.
FAULTS = {
    "hangs up": (None, b""),
    "fails": (500, {**PROBLEM, "request_id": "r1"}),
    "is a page": (200, b"<!doctype html><title>Welcome</title>"),
    "stops half way": (200, b'{"object": "list", "data": [', {"Content-Length": "4000", "Connection": "close"}),
    "is empty": (200, {}),
    "is of another kind": (200, {"object": "list", "data": [1], "has_more": False, "next": None}),
    "knows no such key": (401, {**PROBLEM, "status": 401}),
    "knows no such id": (404, {**PROBLEM, "status": 404}),
}
NOBODY = "is not there"
STATUSES = {"hangs up": 5, "knows no such key": 4, "knows no such id": 3}
# A training log is passed on as it is, whatever it holds.
PASSES_ON = frozenset({"log"})


def commands(group: click.Group, *path: str) -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)
        else:
            yield " ".join([*path, name])


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, content in FILES.items():
        Path(name).write_text(content)
    # Otherwise each client reads the certificates of all authorities, which takes longer than the rest of a command.
    context = ssl.create_default_context()
    monkeypatch.setattr(ssl, "create_default_context", lambda *_, **__: context)
    return tmp_path


def fitstop(url: str, command: str, *arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(main, ["--url", url, *command.split(), *arguments])


def what_is_wrong(result: Result, expected: int | None = None) -> str:
    """Return why a command that could not do its work has not ended properly; empty if it has."""
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return f"{type(result.exception).__name__}: {result.exception}"
    messages = [line for line in result.stderr.splitlines() if line.startswith(("fitstop: ", "Error: "))]
    if result.exit_code == 0 or len(messages) != 1 or (expected and result.exit_code != expected):
        return f"status {result.exit_code}, stdout {result.stdout[:60]!r}, stderr {result.stderr[:200]!r}"
    return ""


def test_every_command_is_here():
    assert {*ASKING, *OWN} == set(commands(main))


def wrong_ends(url: str, fault: str, expected: int | None = None, passed_on: frozenset[str] = frozenset()) -> list[str]:
    """Return the commands that ask the service and end wrongly, each with how it ended.

    Each fault uses another way to type a command.
    """
    found = []
    for command in sorted(ASKING.keys() - passed_on):
        ways = ASKING[command]
        arguments = ways[[*FAULTS, NOBODY].index(fault) % len(ways)]
        wrong = what_is_wrong(fitstop(url, command, *arguments), expected)
        found += [f"{command} {' '.join(arguments)}: {wrong}"] if wrong else []
    return found


@pytest.mark.parametrize("fault", FAULTS)
def test_every_command_says_so_where_the_service(fault, canned):
    canned.otherwise = lambda _: FAULTS[fault]
    passed_on = PASSES_ON if FAULTS[fault][0] == 200 else frozenset()
    assert wrong_ends(canned.url, fault, STATUSES.get(fault), passed_on) == []


def test_every_command_says_so_where_there_is_no_service():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert wrong_ends(f"http://127.0.0.1:{port}", NOBODY, 5) == []


def test_login_says_so_too(canned):
    for name, fault in FAULTS.items():
        canned.otherwise = lambda _, fault=fault: fault
        result = CliRunner().invoke(main, ["login", canned.url], input="fs_key")
        assert what_is_wrong(result) == "" or name == "is of another kind", name


# Commands that get an unusable file in place of FILE.
READING = {
    "run FILE --detach", "submit FILE", "sweep FILE", "datasets put wine FILE", "models put base FILE",
    "programs put mine FILE",
}  # fmt: skip
UNREADABLE = ("missing.json", "folder.json", "loop.json", "missing/job.json", "job.json/job.json", "bad\udcff.json")
# Contents that are not a job's document.
UNUSABLE = {
    "empty": b"", "half": b'{"dataset": {"id"', "latin": b'{"name": "caf\xe9"}', "zeros": bytes(1000), "number": b"5",
    "nested": b"[" * 300, "anchors": b"a: &a [*a]", "twice": b'{"name": 1, "name": 2}',
}  # fmt: skip


@pytest.mark.parametrize("typed", sorted(READING))
def test_a_file_that_cannot_be_read_is_named(typed, canned, folder):
    (folder / "folder.json").mkdir()
    (folder / "loop.json").symlink_to("loop.json")
    wrong = {}
    for name in UNREADABLE:
        if name == "folder.json" and typed.startswith(("datasets", "programs", "run")):
            continue  # these send folders, too
        result = fitstop(canned.url, *[name if word == "FILE" else word for word in typed.split()])
        wrong[name] = what_is_wrong(result)
    assert {name: one for name, one in wrong.items() if one} == {}
    assert canned.asked == []


@pytest.mark.parametrize("command", ["submit", "sweep"])
@pytest.mark.parametrize("ending", ["json", "yaml"])
def test_a_file_that_is_no_document_is_refused(command, ending, canned, folder):
    canned.otherwise = lambda _: FAULTS["is a page"]
    wrong = {}
    for name, content in UNUSABLE.items():
        (folder / f"{name}.{ending}").write_bytes(content)
        wrong[name] = what_is_wrong(fitstop(canned.url, command, f"{name}.{ending}"))
    assert {name: one for name, one in wrong.items() if one} == {}
