"""Fitstop from Python, and the command `fitstop`.

>>> import fitstop
>>> with fitstop.Client() as client:
...     job = client.submit({"dataset": {"id": "wine-quality", "target": "quality"}})

The law of this folder: it talks only HTTP, and it starts the local stack as separate processes (`fitstop.service`). It
imports nothing of the service's code, and needs click, httpx2 and rich alone.
"""

from fitstop.client import Client
from fitstop.connection import Connection, find_connection
from fitstop.errors import (
    Answered,
    ApiError,
    ClientError,
    Damaged,
    Denied,
    FieldProblem,
    NotFound,
    Problem,
    Refused,
    Unreachable,
    Unsendable,
)

__all__ = [
    "Answered",
    "ApiError",
    "Client",
    "ClientError",
    "Connection",
    "Damaged",
    "Denied",
    "FieldProblem",
    "NotFound",
    "Problem",
    "Refused",
    "Unreachable",
    "Unsendable",
    "find_connection",
]
