"""Pulses: the progress messages of a training process to its worker.

A pulse says that the run makes progress, how long the worker may wait for the next one, and the run's position. If the
program was started by hand, without a worker, nothing is sent.

A training process may run a user's script, so the worker never unpickles a message and never waits for the rest of one.
A pulse is one short line, and anything else is ignored.
"""

import math
import os
import re
from multiprocessing.connection import Connection
from typing import NamedTuple

_MOST_BYTES = 65_536
_LINE = re.compile(rb"([0-9.e+]{1,32}) ([0-9]{1,19}:[0-9]{1,19})\n")

_sender: Connection | None = None


class Pulse(NamedTuple):
    """`silence_seconds`: the run hangs if no other pulse follows within this time. `place`: position, `epoch:step`."""

    silence_seconds: float
    place: str


def send_to(sender: Connection) -> None:
    """Send this process's pulses through `sender` from now on."""
    global _sender  # noqa: PLW0603 (one process trains one attempt)
    _sender = sender


def send(pulse: Pulse) -> None:
    """Send a pulse to the worker. Ignores errors: if the worker has exited, this process ends by other means."""
    if _sender is None:
        return
    try:
        os.write(_sender.fileno(), f"{pulse.silence_seconds} {pulse.place}\n".encode())
    except OSError:
        return


def newest(receiver: Connection) -> Pulse | None:
    """The last new pulse since the previous call, or None.

    Raises EOFError if the sender has exited and everything has been read.
    """
    try:
        if not receiver.poll():
            return None
        said = os.read(receiver.fileno(), _MOST_BYTES)
    except OSError:
        raise EOFError from None
    if not said:
        raise EOFError
    pulses = [one for line in _LINE.findall(said) if (one := _pulse(*line)) is not None]
    return pulses[-1] if pulses else None


def _pulse(silence: bytes, place: bytes) -> Pulse | None:
    try:
        seconds = float(silence)
    except ValueError:
        return None
    return Pulse(seconds, place.decode()) if math.isfinite(seconds) else None
