"""One resume point as a file.

    magic (8 bytes) | length of the header (u64, little endian) | header (JSON) | tensors, raw | sha256 of all before

The header lists the tensors in order: name, dtype, shape. The hash detects every flipped bit and every truncation.
"""

import hashlib
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.document import FORMAT, check_number
from shared.durable import replace_file
from shared.problems import FitstopError
from shared.storage import at_path, check_room

MAGIC = b"FITSTOP1"
_HASH_BYTES = 32


class DamagedPoint(FitstopError):
    """The file is damaged, or the point belongs to another job or model."""

    code = "damaged_resume_point"


@dataclass(frozen=True)
class Place:
    """Where a run resumes: the epoch (from 0), and how many of its batches are done."""

    epoch: int
    step: int

    def __str__(self) -> str:
        return f"epoch {self.epoch + 1}" + (f", batch {self.step + 1}" if self.step else "")


@dataclass(frozen=True)
class ResumePoint:
    """The state of a run at one moment. `tensors` are named arrays or tensors, in order; all else is JSON values.

    `is_stopped`: a callback has ended training. `owner`: the job (`resume.store`). `built_with`: what computed it
    (`resume.computed_by`). `callbacks`: their states by name. `log_bytes`, `log_sha256`: length and hash of the log.
    """

    place: Place
    is_stopped: bool
    owner: str
    built_with: dict[str, str]
    callbacks: dict[str, Any]
    manifest: dict[str, Any]
    log_bytes: int
    log_sha256: str
    random: dict[str, Any]
    tensors: tuple[tuple[str, Any], ...]


def write_point(path: Path, point: ResumePoint, reserve_bytes: int = 0) -> int:
    """Write `point` to `path`, completely or not at all, and return the size in bytes.

    Raises OSError (ENOSPC) and writes nothing if there is no space for it in addition to `reserve_bytes`.
    """
    parts = _pack(point)
    size = sum(part.nbytes if isinstance(part, memoryview) else len(part) for part in parts)
    check_room(path.parent, reserve_bytes + size)
    replace_file(path, *parts)
    return size


def read_point(path: Path) -> ResumePoint:
    """Read the point at `path`.

    Raises DamagedPoint, NewerFormat, OSError if the file cannot be read, and KeyError, TypeError or ValueError if the
    header lacks something.
    """
    with at_path(path):
        content = path.read_bytes()
    view = memoryview(content)
    if len(content) < len(MAGIC) + 8 + _HASH_BYTES or content[: len(MAGIC)] != MAGIC:
        raise DamagedPoint(f"{path.name} is truncated or not a resume point")
    if hashlib.sha256(view[:-_HASH_BYTES]).digest() != content[-_HASH_BYTES:]:
        raise DamagedPoint(f"{path.name} does not match its own hash")
    (length,) = struct.unpack_from("<Q", content, len(MAGIC))
    begin = len(MAGIC) + 8
    header = json.loads(content[begin : begin + length])
    check_number(header.get("format", 1), path.name)
    return _unpack(header, view[begin + length : -_HASH_BYTES])


def _pack(point: ResumePoint) -> list[bytes | memoryview]:
    """The file in parts. Joining hundreds of megabytes would block the other threads of the process."""
    arrays = [np.ascontiguousarray(_array(tensor)) for _, tensor in point.tensors]
    header = {
        "format": FORMAT,
        "epoch": point.place.epoch,
        "step": point.place.step,
        "is_stopped": point.is_stopped,
        "owner": point.owner,
        "built_with": point.built_with,
        "callbacks": point.callbacks,
        "manifest": point.manifest,
        "log_bytes": point.log_bytes,
        "log_sha256": point.log_sha256,
        "random": point.random,
        "tensors": [
            [name, array.dtype.name, [int(size) for size in original.shape]]
            for (name, original), array in zip(point.tensors, arrays, strict=True)
        ],
    }
    encoded = json.dumps(header, allow_nan=False).encode()
    parts: list[bytes | memoryview] = [
        MAGIC,
        struct.pack("<Q", len(encoded)),
        encoded,
        *(_raw(array) for array in arrays),
    ]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return [*parts, digest.digest()]


def _array(tensor: Any) -> npt.NDArray[Any]:
    """A tensor's values, without a copy if they are in the machine's memory."""
    return tensor.numpy() if hasattr(tensor, "numpy") else np.asarray(tensor)


def _raw(array: npt.NDArray[Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _unpack(header: dict[str, Any], payload: memoryview) -> ResumePoint:
    tensors = []
    offset = 0
    for name, dtype_name, shape in header["tensors"]:
        dtype = _dtype(dtype_name)
        count = int(np.prod(shape, dtype=np.int64))
        tensors.append((str(name), np.frombuffer(payload, dtype, count, offset).reshape(shape)))
        offset += count * dtype.itemsize
    return ResumePoint(
        place=Place(header["epoch"], header["step"]),
        is_stopped=header["is_stopped"],
        owner=header["owner"],
        built_with=header["built_with"],
        callbacks=header["callbacks"],
        manifest=header["manifest"],
        log_bytes=header["log_bytes"],
        log_sha256=header["log_sha256"],
        random=header["random"],
        tensors=tuple(tensors),
    )


def _dtype(name: str) -> "np.dtype[Any]":
    try:
        return np.dtype(name)
    except TypeError:
        import ml_dtypes  # bfloat16 and similar types

        return np.dtype(getattr(ml_dtypes, name))
