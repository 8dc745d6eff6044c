"""Tests whether this machine's kernel can confine programs: a separate process enters an empty sandbox and reports."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass

PROGRAM = "worker.training.program.sandbox"
_SECONDS = 60


@dataclass(frozen=True)
class SandboxTrial:
    """`layers`: layers in force. `lacks`: missing layers, with reasons. `openings`: promises that are not kept."""

    layers: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    openings: str = ""


def try_sandbox() -> SandboxTrial:
    """Test the sandbox in another process. Takes a fraction of a second."""
    with tempfile.TemporaryDirectory(prefix="fitstop-sandbox-", ignore_cleanup_errors=True) as folder:
        command = [sys.executable, "-P", "-m", PROGRAM, folder]
        try:
            done = subprocess.run(
                command, env=dict(os.environ), capture_output=True, text=True, timeout=_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return SandboxTrial(openings=f"not finished after {_SECONDS} s")
    if done.returncode:
        said = done.stderr.strip().rpartition("\n")[2] or f"exit status {done.returncode}"
        return SandboxTrial(openings=said[:500])
    report = json.loads(done.stdout.splitlines()[-1])
    return SandboxTrial(tuple(report["layers"]), tuple(report["lacks"]), report["openings"])
