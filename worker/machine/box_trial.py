"""Whether this machine's kernel provides the box for programs: a separate process enters one and reports."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass

PROGRAM = "worker.training.program.box"
_SECONDS = 60


@dataclass(frozen=True)
class BoxTrial:
    """The layers in force in the box and the missing ones, each with its reason; `openings`: broken promises."""

    layers: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    openings: str = ""


def try_box() -> BoxTrial:
    """Enter an empty box in another process. Takes a fraction of a second."""
    with tempfile.TemporaryDirectory(prefix="fitstop-box-", ignore_cleanup_errors=True) as folder:
        command = [sys.executable, "-P", "-m", PROGRAM, folder]
        try:
            done = subprocess.run(
                command, env=dict(os.environ), capture_output=True, text=True, timeout=_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return BoxTrial(openings=f"not finished after {_SECONDS} s")
    if done.returncode:
        said = done.stderr.strip().rpartition("\n")[2] or f"exit status {done.returncode}"
        return BoxTrial(openings=said[:500])
    report = json.loads(done.stdout.splitlines()[-1])
    return BoxTrial(tuple(report["layers"]), tuple(report["lacks"]), report["openings"])
