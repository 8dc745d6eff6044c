"""Hints for errors of a script whose cause is the job's spec or the sandbox."""

import socket
import traceback
from collections.abc import Iterator

from shared.spec import ProgramSpec


def find_hint(error: BaseException, program: ProgramSpec, *, is_boxed: bool) -> str:
    """How to fix the error; empty if nothing is known. `is_boxed`: whether the script runs in the sandbox."""
    for cause in _chain(error):
        if isinstance(cause, ModuleNotFoundError):
            return "add it to the program's requirements.txt"
        if is_boxed and not program.network and _is_of_network(cause):
            return 'the job has no network: set "network": true in "program" (fitstop run --network)'
        if is_boxed and isinstance(cause, PermissionError) and cause.filename is not None:
            return "in the sandbox, a script uses only its working folder, the job's datasets and the libraries"
    return ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error and those during whose handling it was raised."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_of_network(error: BaseException) -> bool:
    """Whether no name was resolved, or the sandbox refused a socket. Only its place tells that error from others."""
    if isinstance(error, socket.gaierror):
        return True
    frames = traceback.extract_tb(error.__traceback__)
    return isinstance(error, PermissionError) and bool(frames) and frames[-1].filename == socket.__file__
