"""A job's own program: which script runs, and with what."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from shared.ids import DatasetId, ProgramId, ProgramVersion
from shared.spec.base import Strict, Text
from shared.spec.callbacks import EarlyStoppingSpec

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
# What the service itself decides about its training process.
_RESERVED = re.compile(
    r"(FITSTOP|PYTHON|LD|TF|XLA|CUDA|NVIDIA|KERAS|REDIS|MALLOC)_?.*|HOME|TMPDIR|PATH|USER|LOGNAME|SHELL|PWD",
    re.IGNORECASE,
)


def _variable(name: str) -> str:
    if not _VARIABLE.fullmatch(name):
        raise ValueError("expected letters, digits and underscores, with no digit in front")
    if _RESERVED.fullmatch(name):
        raise ValueError("the service sets variables of this name itself")
    return name


def _inside(path: str) -> str:
    if path.startswith("/") or "\\" in path or any(part in {"", ".", ".."} for part in path.split("/")):
        raise ValueError("expected the path of a file of the program, such as train.py or scripts/train.py")
    if not path.endswith(".py"):
        raise ValueError("expected a Python file, whose name ends in .py")
    return path


EntryPath = Annotated[Text, Field(min_length=4, max_length=512), AfterValidator(_inside)]
_Variable = Annotated[str, AfterValidator(_variable)]
_Value = Annotated[Text, Field(max_length=4096)]


class ProgramSpec(Strict):
    """Program to run in place of a dataset and a model: its script calls `model.fit` itself."""

    id: ProgramId
    """Id of an uploaded program."""
    version: ProgramVersion | None = None
    """Version of the program. Default: the latest."""
    entry: EntryPath | None = None
    """Script to run. Default: the only .py file at the top of the program, or main.py, or train.py."""
    arguments: tuple[_Value, ...] = Field(default=(), max_length=256)
    """Command-line arguments of the script."""
    environment: dict[_Variable, _Value] = Field(default_factory=dict, max_length=64)
    """Environment variables of the script."""
    datasets: tuple[DatasetId, ...] = Field(default=(), max_length=16)
    """Ids of the uploaded datasets that the script may read."""
    network: bool = False
    """Whether the script may use the network."""


class ProgramCallbacks(Strict):
    """Callbacks in addition to those of the script."""

    early_stopping: EarlyStoppingSpec | None = None
    """Early stopping for calls of `fit` without one of their own; null: none."""
