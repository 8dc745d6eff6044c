"""Copies a volume for `fitstop volume copy`: a process of the service copies, and reports its progress."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fitstop.local.data_lock import find_holder
from fitstop.local.ports import StackError
from fitstop.service import service_command, service_environment

Json = dict[str, Any]
_PROGRAM = "shared.copying"


class CopyError(Exception):
    """The copy was refused or has stopped; the message says why. `code`: the reason as the service's code."""

    def __init__(self, message: str, code: str) -> None:
        self.code = code
        super().__init__(message)


def copy_volume(source: str, target: str, report: Callable[[Json], None]) -> Json:
    """Copy a volume; return the last report. Raises StackError if a service uses one of the folders, and CopyError."""
    for place in (source, target):
        check_not_in_use(place)
    command = service_command(_PROGRAM, source, target)
    last: Json = {}
    with subprocess.Popen(
        command, env=service_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            last = json.loads(line)
            report(last)
        words = process.stderr.read().strip().splitlines()
    if "error" in last:
        raise CopyError(str(last["error"]), str(last["code"]))
    if process.returncode:
        reason = words[-1] if words else f"it ended with status {process.returncode}"
        raise CopyError(
            f"the copy did not run: {reason}; pip install 'fitstop[local]' installs what it needs", "no_service"
        )
    return last


def check_not_in_use(place: str) -> None:
    """Raise StackError if a `fitstop up` uses the data folder that the volume is in."""
    holder = None if "://" in place else find_holder(Path(place).resolve().parent)
    if holder is not None:
        data = Path(place).resolve().parent
        raise StackError(
            f"{place} is in use: `fitstop up` runs with {data} (process {holder.pid} on {holder.host}); stop it with "
            f"fitstop down --data {data}"
        )
