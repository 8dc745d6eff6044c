"""An upload on its way in: received, hashed and parsed in a folder that nobody sees, then published or gone."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args

from flask import request

from api.datasets.file_formats import HEAD_BYTES, Format, format_of
from api.datasets.upload_options import UploadOptions
from api.http.body import check_size
from api.http.problems import HttpProblem
from api.state.incoming import incoming_folder, parser_environment, receive_pieces
from shared.problems import Problem, Refused
from shared.settings import Settings

GIB = 1024**3

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Upload:
    """What came: where it lies, and what it is by its first bytes."""

    folder: Path
    format: Format
    bytes: int
    sha256: str

    @property
    def file(self) -> Path:
        return self.folder / "upload"

    def parse(self, settings: Settings, options: UploadOptions) -> dict[str, Any]:
        """Make what is kept of the upload beside it, in a process of its own; the facts about it. Raises Refused."""
        order = {
            "format": self.format,
            "missing_values": options.missing_values,
            "column_kinds": options.column_kinds,
            "max_columns": settings.max_dataset_columns,
            "max_cells": settings.max_dataset_cells,
            "max_table_bytes": settings.max_dataset_bytes,
            "max_images": settings.max_dataset_images,
            "max_images_bytes": settings.max_image_dataset_bytes,
            "max_image_bytes": settings.max_image_bytes,
            "max_image_pixels": settings.max_image_pixels,
            "max_arrays_bytes": settings.max_array_dataset_bytes,
            "memory_bytes": settings.ingest_memory_bytes,
        }
        answer = _answer(self.folder, order, settings.ingest_timeout_seconds * (1 + self.bytes // GIB))
        if "errno" in answer:
            raise OSError(answer["errno"], os.strerror(answer["errno"]), str(self.folder))
        if "problems" in answer:
            raise Refused([Problem(**problem) for problem in answer["problems"]])
        facts: dict[str, Any] = answer["facts"]
        self.file.unlink()
        return facts


@contextmanager
def receive(datasets: Path, settings: Settings) -> Iterator[Upload]:
    """The request's body on the volume. On leaving, everything that was not published is gone.

    Raises HttpProblem: 413, 415, 507, and 400 for a client that went away.
    """
    with incoming_folder(datasets) as folder:
        yield _store(folder, settings)


def _store(folder: Path, settings: Settings) -> Upload:
    hashed, size = sha256(), 0
    head: bytes = b""
    found: Format = "csv"
    with (folder / "upload").open("xb") as file:
        for piece in receive_pieces(folder, most_of_all(settings), settings.volume_reserve_bytes):
            if len(head) < HEAD_BYTES:
                head += piece
                found = format_of(head)
            hashed.update(piece)
            size += len(piece)
            check_size(max(size, request.content_length or 0), most_bytes(found, settings))
            file.write(piece)
    if not size:
        raise Refused([Problem("#", "the body is empty, expected CSV, Parquet, zip, tar or npz", "empty")])
    return Upload(folder, found, size, hashed.hexdigest())


def most_of_all(settings: Settings) -> int:
    """The maximum size of a file whose kind is not known yet."""
    return max(most_bytes(kind, settings) for kind in get_args(Format))


def most_bytes(found: Format, settings: Settings) -> int:
    """The maximum size of a file: of its kind's limits the largest, where only its end says which kind it is."""
    tables, images, arrays = (
        settings.max_dataset_bytes,
        settings.max_image_dataset_bytes,
        settings.max_array_dataset_bytes,
    )
    limits = {"csv": tables, "parquet": max(tables, images), "zip": images, "tar": images, "npz": arrays}
    return limits[found]


def ingest_environment() -> dict[str, str]:
    """The environment of the process that parses an upload."""
    # Arrow's own allocator reserves 1 GiB of addresses at once, which would count as memory.
    return {**parser_environment(), "ARROW_DEFAULT_MEMORY_POOL": "system"}


def _answer(folder: Path, order: dict[str, Any], timeout_seconds: float) -> dict[str, Any]:
    command = [sys.executable, "-P", "-m", "api.datasets.ingest", str(folder)]
    try:
        done = subprocess.run(
            command,
            input=json.dumps(order).encode(),
            capture_output=True,
            env=ingest_environment(),
            timeout=timeout_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        detail = f"took longer than {timeout_seconds:g} seconds to read"
        raise Refused([Problem("#", detail, "too_heavy")]) from None
    if done.returncode < 0:
        detail = f"could not be read within {order['memory_bytes']} bytes of memory"
        raise Refused([Problem("#", detail, "too_heavy")])
    if done.returncode > 0:
        log.error("reading an upload failed: %s", done.stderr[-4000:].decode(errors="replace"))
        raise HttpProblem(500, "internal_error", "reading the upload failed; the log has the reason")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
