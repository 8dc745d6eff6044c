"""Runs Python code in a sandbox, in a new process: as root that becomes another user, or as a plain user."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
PLAIN_USER = 61_234

_PROGRAM = """
import json, os, sys
from pathlib import Path
from worker.training.program.sandbox import Sandbox, enter_sandbox
order = json.loads(sys.argv[1])
exec(order["before"])
read, home = tuple(map(Path, order["read"])), Path(order["home"])
sandbox = Sandbox(read, (home,), order["network"], home)
report = enter_sandbox(sandbox, abi=order["abi"])
said = {}
exec(order["code"], {"said": said, "order": order})
print(json.dumps({"said": said, "layers": report.layers, "lacks": {one.layer: one.reason for one in report.lacks},
                  "closed": report.is_closed, "seconds": report.seconds}), flush=True)
"""


@dataclass(frozen=True)
class Sandboxed:
    """Runs code in a sandbox whose only writable folder is `home`. The code reads `order`, and writes into `said`.

    `before`: code that runs outside. `user`: `root`, which becomes another user, or `plain`. `abi`: version of
    Landlock, as on an older kernel.
    """

    home: Path
    user: str = "root"
    abi: int | None = None
    network: bool = False
    read: tuple[Path, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    before: str = ""

    def run(self, code: str, **order: Any) -> dict[str, Any]:
        """Run `code`, and return what it wrote into `said`, with the report of the sandbox."""
        skip_where_it_cannot(self.user)
        self.home.mkdir(exist_ok=True)
        if self.user == "plain" and os.geteuid() == 0:
            os.chown(self.home, PLAIN_USER, PLAIN_USER)
        order |= {"home": str(self.home), "read": list(map(str, self.read)), "abi": self.abi, "code": code}
        order |= {"network": self.network, "before": self.before}
        done = subprocess.run(
            [python_of(self.user), "-c", _PROGRAM, json.dumps(order)],
            cwd=self.home,
            env=environment_of(self.user) | self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            **switch_to(self.user),
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found


def skip_where_it_cannot(user: str) -> None:
    """Skip a test that needs root, or a Python that a plain user can read."""
    if sys.platform != "linux":
        pytest.skip("the sandbox needs Linux")
    if user == "root" and os.geteuid() != 0:
        pytest.skip("only root becomes another user")
    if user == "plain" and not python_of(user):
        pytest.skip("no Python of this version that a plain user can read")


def python_of(user: str) -> str:
    """The interpreter for a user; empty if a plain user can read none of this version."""
    if user == "root" or os.geteuid() != 0:
        return sys.executable
    name = f"python3.{sys.version_info.minor}"
    return shutil.which(name, path="/usr/bin") or ""


def environment_of(user: str) -> dict[str, str]:
    """The environment in which that interpreter finds the service and its libraries."""
    libraries = [path for path in sys.path if path.endswith("site-packages")]
    return {"PATH": os.defpath, "PYTHONPATH": ":".join([str(REPOSITORY), *libraries]), "PYTHONSAFEPATH": "1"}


def switch_to(user: str) -> dict[str, Any]:
    """The arguments with which `subprocess`, run by root, starts a child as a plain user."""
    if user == "plain" and os.geteuid() == 0:
        return {"user": PLAIN_USER, "group": PLAIN_USER, "extra_groups": []}
    return {}
