"""The roles of a dataset's arrays, by their names, and the checks whether the arrays fit together."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from api.archive.entries import show
from api.datasets.ingest.npy import Header
from shared.problems import Problem, list_names, pointer

Role = Literal["input", "target", "sample_weight"]
Part = Literal["training", "validation"]

_ROLES: dict[str, Role] = {"y": "target", "sample_weight": "sample_weight"}
_SUFFIX = "_validation"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_EXPECTED = 'expected np.savez("data.npz", x=x, y=y)'


@dataclass(frozen=True)
class ArrayFile:
    """One array of the upload: its entry in the archive, its name, its part, and its header."""

    entry: str
    name: str
    part: Part
    header: Header

    @property
    def role(self) -> Role:
        """The array's role by its name."""
        return _ROLES.get(self.name, "input")

    @property
    def shown_name(self) -> str:
        """The name in the upload."""
        return self.entry.removesuffix(".npy")


def split_name(entry: str) -> tuple[str, Part] | None:
    """The name and the part of an array by its entry in the archive; None for a name that no input may have."""
    stem = entry.removesuffix(".npy")
    if stem == entry or not _NAME.fullmatch(stem):
        return None
    name = stem.removesuffix(_SUFFIX)
    return (name, "validation") if name != stem else (stem, "training")


def check_parts(arrays: Sequence[ArrayFile]) -> Iterator[Problem]:
    """The problems of the arrays together: missing ones, and different shapes, types or numbers of rows."""
    training = {one.name: one for one in arrays if one.part == "training"}
    validation = {one.name: one for one in arrays if one.part == "validation"}
    yield from _check_roles(training)
    yield from _check_rows(list(training.values()))
    yield from _check_rows(list(validation.values()))
    for name, one in validation.items():
        yield from _check_pair(training.get(name), one)
    for name, one in training.items():
        if validation and name not in validation and one.role != "sample_weight":
            detail = f'has no "{name}{_SUFFIX}", but other arrays have a validation part'
            yield _problem(one, detail, "missing_array")
    for one in arrays:
        if one.role == "sample_weight" and len(one.header.shape) != 1:
            yield _problem(one, f"has the shape {one.header.shape}, expected one number for each row", "wrong_shape")


def _check_roles(training: dict[str, ArrayFile]) -> Iterator[Problem]:
    names = show(list_names(list(training), 10)) or "nothing"
    if "y" not in training:
        yield Problem("#", f'has no array "y", the target; it has {names}; {_EXPECTED}', "missing_array")
    if all(one.role != "input" for one in training.values()):
        yield Problem("#", f"has no array of inputs; it has {names}; {_EXPECTED}", "missing_array")


def _check_rows(arrays: list[ArrayFile]) -> Iterator[Problem]:
    """A problem for each array whose number of rows is not that of the first."""
    for one in arrays[1:]:
        rows, expected = one.header.shape[0], arrays[0].header.shape[0]
        if rows != expected:
            detail = f'has {rows} rows, expected {expected} as "{arrays[0].shown_name}"'
            yield _problem(one, detail, "different_rows")


def _check_pair(training: ArrayFile | None, one: ArrayFile) -> Iterator[Problem]:
    if training is None:
        yield _problem(one, f'has no "{one.name}" for the training', "missing_array")
        return
    if one.header.shape[1:] != training.header.shape[1:]:
        detail = f'has the shape {one.header.shape}, expected that of "{one.name}" but for the rows'
        yield _problem(one, f"{detail}: {training.header.shape}", "different_shape")
    if one.header.kind != training.header.kind:
        detail = f'holds {one.header.dtype.name}, expected a type as of "{one.name}": {training.header.dtype.name}'
        yield _problem(one, detail, "different_type")


def _problem(one: ArrayFile, detail: str, code: str) -> Problem:
    return Problem(pointer("arrays", one.shown_name), detail, code)
