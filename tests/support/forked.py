"""Calls a function in a new process, without the five seconds of processor time that importing TensorFlow takes."""

from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from tests.support.killing import preloaded_forks

_Value = TypeVar("_Value")


def call_in_fork(function: Callable[..., _Value], *arguments: Any) -> _Value:
    """Call a module's function in a child of the product's own fork server, and return its value."""
    forks = preloaded_forks()
    here, there = forks.Pipe(duplex=False)
    process = forks.Process(target=_answer, args=(there, function, arguments))
    process.start()
    there.close()
    try:
        value: _Value = here.recv()
    finally:
        process.join()
        here.close()
    return value


def _answer(pipe: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    pipe.send(function(*arguments))
