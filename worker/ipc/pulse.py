"""The training program's sign of progress, from the child to its worker: not "I live", but "I have done a batch".

A pulse says how long the next one may take, and where the run is. Where there is no worker (the program runs by hand)
a pulse goes nowhere.
"""

from multiprocessing.connection import Connection
from typing import NamedTuple

_sender: Connection | None = None


class Pulse(NamedTuple):
    """`silence_seconds`: a run without another pulse for this time hangs. `place`: where it is, as `epoch:step`."""

    silence_seconds: float
    place: str


def send_to(sender: Connection) -> None:
    """Send this process's pulses through `sender` from now on."""
    global _sender  # noqa: PLW0603 (one process trains one attempt)
    _sender = sender


def send(pulse: Pulse) -> None:
    """Tell the worker. A worker that is gone hears nothing; the child then ends by other means."""
    if _sender is None:
        return
    try:
        _sender.send(tuple(pulse))
    except OSError:
        return


def newest(receiver: Connection) -> Pulse | None:
    """The last pulse that has come since this was asked last; None where none has.

    Raises EOFError where the sender is gone and all that it sent has been read.
    """
    last = None
    try:
        while receiver.poll():
            last = Pulse(*receiver.recv())
    except (EOFError, OSError):
        if last is None:
            raise EOFError from None
    return last
