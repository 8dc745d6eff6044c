"""Copies the arrays of an `.npz` file to one `.npy` file each, in memory that does not grow with their size."""

import hashlib
from pathlib import Path
from typing import Any

from api.archive import read_archive, survey_archive
from api.archive.entries import ArchiveLimits, Content, show
from api.datasets.ingest.array_numbers import Numbers
from api.datasets.ingest.array_parts import ArrayFile, check_parts, split_name
from api.datasets.ingest.npy import BadArray, file_header, read_blocks, read_header
from shared.dataset import ArrayProfile, hash_files
from shared.durable import sync_file, sync_folder
from shared.problems import Problem, Refused, at_most_shown, pointer

MOST_ARRAYS = 200


def take_arrays(folder: Path, most_bytes: int) -> dict[str, Any]:
    """Write `arrays/<name>.npy` for each array in `upload`; return the facts. Raises Refused with every problem."""
    upload = folder / "upload"
    entries = survey_archive(upload, "zip", ArchiveLimits(MOST_ARRAYS, most_bytes), lambda _: False)
    problems: list[Problem] = []
    arrays = _read_headers(upload, [one.name for one in entries], problems)
    if not problems:
        problems += check_parts(arrays)
    _raise_problems(problems)
    (folder / "arrays").mkdir()
    profiles, sums = _write_all(folder, arrays, problems)
    _raise_problems(problems)
    return {
        "kind": "arrays",
        "data_sha256": hash_files(sums),
        "rows": _count_rows(arrays),
        "arrays": [one.model_dump(mode="json") for one in profiles],
        "warnings": [
            f"{one.file_name.removesuffix('.npy')} holds {one.non_finite} numbers that are NaN or infinite"
            for one in profiles
            if one.non_finite
        ],
    }


def _raise_problems(problems: list[Problem]) -> None:
    if problems:
        raise Refused(at_most_shown(problems))


def _read_headers(upload: Path, names: list[str], problems: list[Problem]) -> list[ArrayFile]:
    arrays = []
    for file in read_archive(upload, "zip", set(names).__contains__):
        named = split_name(file.name)
        if named is None:
            detail = "expected .npy files with names of 1 to 64 letters, digits, _, . and -, a letter in front"
            problems.append(_problem(file.name, detail, "invalid_name"))
            continue
        try:
            arrays.append(ArrayFile(file.name, *named, read_header(file.read, file.size)))
        except BadArray as error:
            problems.append(_problem(file.name, str(error), "bad_array"))
        except Refused as damage:
            problems += damage.problems
    return arrays


def _write_all(
    folder: Path, arrays: list[ArrayFile], problems: list[Problem]
) -> tuple[list[ArrayProfile], dict[str, str]]:
    """Write all arrays. Return the profile of each, and the SHA-256 of each file by its name."""
    by_entry = {one.entry: one for one in arrays}
    profiles, sums = [], {}
    for file in read_archive(folder / "upload", "zip", by_entry.__contains__):
        one = by_entry[file.name]
        try:
            profile, sha256 = _write(file, one, folder / "arrays")
        except BadArray as error:
            problems.append(_problem(file.name, str(error), "bad_array"))
            continue
        except Refused as damage:
            problems += damage.problems
            continue
        if one.role != "input" and profile.non_finite:
            detail = f"holds {profile.non_finite} numbers that are NaN or infinite, expected finite numbers"
            problems.append(_problem(file.name, detail, "not_finite"))
        profiles.append(profile)
        sums[profile.file_name] = sha256
    sync_folder(folder / "arrays")
    return profiles, sums


def _write(file: Content, one: ArrayFile, folder: Path) -> tuple[ArrayProfile, str]:
    """Write one array. Return its profile, and the SHA-256 of its file."""
    header = read_header(file.read, file.size)
    numbers = Numbers(lists_values=one.role == "target" and header.kind != "float")
    path = folder / f"{one.shown_name}.npy"
    with path.open("xb") as kept:
        start = file_header(header)
        digest = hashlib.sha256(start)
        kept.write(start)
        for block in read_blocks(file.read, header, folder):
            digest.update(block.data)
            kept.write(block.data)
            numbers.add(block)
    sync_file(path)
    profile = ArrayProfile(
        name=one.name,
        role=one.role,
        part=one.part,
        shape=header.shape,
        dtype=header.dtype.name,
        minimum=numbers.minimum,
        maximum=numbers.maximum,
        non_finite=numbers.non_finite,
        values=numbers.values,
    )
    return profile, digest.hexdigest()


def _count_rows(arrays: list[ArrayFile]) -> int:
    return sum(one.header.shape[0] for one in arrays if one.role == "target")


def _problem(entry: str, detail: str, code: str) -> Problem:
    return Problem(pointer("arrays", show(entry.removesuffix(".npy"))), detail, code)
