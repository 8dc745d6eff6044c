"""Hints for the errors that a script meets in the sandbox."""

import socket
import urllib.error
from pathlib import Path

import pytest

from shared.spec import ProgramSpec
from tests.support.sandboxed import Sandboxed
from worker.training.program.error_hints import find_hint

PROGRAM = ProgramSpec(id="cats", entry="train.py")
ONLINE = PROGRAM.model_copy(update={"network": True})
OFFLINE = 'the job has no network: set "network": true in "program" (fitstop run --network)'


def catch(raise_it) -> Exception:
    try:
        raise_it()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def reraise() -> None:
    try:
        raise socket.gaierror(-3, "Temporary failure in name resolution")
    except OSError as error:
        raise urllib.error.URLError(error) from error


def refuse_a_socket() -> None:
    exec(compile("raise PermissionError(13, 'Permission denied')", socket.__file__, "exec"))


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (catch(reraise), OFFLINE),
        (catch(refuse_a_socket), OFFLINE),
        (PermissionError(13, "Permission denied"), ""),
        (PermissionError(13, "Permission denied", "/tmp/x"), "in the sandbox, a script uses only its working folder"),
        (ModuleNotFoundError("No module named 'x'"), "add it to the program's requirements.txt"),
        (KeyError("x"), ""),
    ],
)
def test_an_error_whose_cause_is_the_sandbox_has_a_hint(error: Exception, hint: str) -> None:
    found = find_hint(error, PROGRAM, is_boxed=True)
    assert found.startswith(hint)
    assert bool(found) == bool(hint)


@pytest.mark.parametrize("error", [catch(reraise), PermissionError(13, "Permission denied", "/tmp/x")])
def test_without_the_sandbox_the_cause_is_another(error: Exception) -> None:
    assert not find_hint(error, PROGRAM, is_boxed=False)


def test_with_network_a_name_that_is_not_resolved_has_another_cause() -> None:
    assert not find_hint(catch(reraise), ONLINE, is_boxed=True)


def test_the_sandbox_raises_the_errors_that_have_hints(tmp_path: Path) -> None:
    code = """
import socket, traceback
def tell(act):
    try:
        act()
    except OSError as error:
        return [type(error).__name__, error.filename, traceback.extract_tb(error.__traceback__)[-1].filename]
said["file"] = tell(lambda: open("/etc/passwd-", "w"))
said["name"] = tell(lambda: socket.getaddrinfo("example.com", 80))
said["socket"] = tell(lambda: socket.socket())
"""
    assert Sandboxed(tmp_path / "home").run(code)["said"] == {
        "file": ["PermissionError", "/etc/passwd-", "<string>"],
        "name": ["gaierror", None, socket.__file__],
        "socket": ["PermissionError", None, socket.__file__],
    }
