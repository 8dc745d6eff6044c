"""Fitstop from Python, and the command `fitstop`.

>>> import fitstop
>>> run = fitstop.fit(model, x_train, y_train, validation_data=(x_test, y_test), epochs=1000)
>>> run.history["val_accuracy"], run.best_model(), run.stop

The rule of this folder: it uses only HTTP, and it starts the local stack as separate processes (`fitstop.service`). It
imports none of the service's code, and needs only click, httpx2, pathspec and rich. numpy and Keras are the user's own.
"""

from fitstop.client import Client
from fitstop.connection import Connection, find_connection
from fitstop.dataset import dataset
from fitstop.dataset_path import dataset_path
from fitstop.errors import (
    Answered,
    ApiError,
    CannotSend,
    ClientError,
    Damaged,
    Denied,
    FieldProblem,
    JobFailed,
    NotFound,
    Problem,
    Refused,
    Unreachable,
    Unsendable,
)
from fitstop.fitting.fit import fit
from fitstop.run import Run, attach, submit
from fitstop.script import run_script
from fitstop.sweeps import Sweep, attach_sweep, sweep

__all__ = [
    "Answered",
    "ApiError",
    "CannotSend",
    "Client",
    "ClientError",
    "Connection",
    "Damaged",
    "Denied",
    "FieldProblem",
    "JobFailed",
    "NotFound",
    "Problem",
    "Refused",
    "Run",
    "Sweep",
    "Unreachable",
    "Unsendable",
    "attach",
    "attach_sweep",
    "dataset",
    "dataset_path",
    "find_connection",
    "fit",
    "run_script",
    "submit",
    "sweep",
]
