"""An upload in progress: received, hashed and parsed in a hidden folder, then published or removed."""

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
from api.state.incoming import incoming_folder, receive_pieces
from api.state.parser import parse_upload
from shared.problems import Problem, Refused
from shared.settings import Settings


@dataclass(frozen=True)
class Upload:
    """The received file: its folder, its format by its first bytes, its size, and its SHA-256."""

    folder: Path
    format: Format
    bytes: int
    sha256: str

    @property
    def file(self) -> Path:
        return self.folder / "upload"

    def parse(self, settings: Settings, options: UploadOptions) -> dict[str, Any]:
        """Convert the upload in a separate process, and return its facts. Raises as `api.state.parser.parse_upload`."""
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
        }
        facts = parse_upload("api.datasets.ingest", self.folder, self.bytes, order)
        self.file.unlink()
        return facts


@contextmanager
def receive(datasets: Path, settings: Settings) -> Iterator[Upload]:
    """A context manager with the request's body on the volume. On exit, everything unpublished is removed.

    Raises Refused for an empty body, and HttpProblem: 413, 415, 507, and 400 for a client that disconnected.
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
    """The maximum size in bytes of a file whose format is not known yet."""
    return max(most_bytes(kind, settings) for kind in get_args(Format))


def most_bytes(found: Format, settings: Settings) -> int:
    """The maximum size of a file in bytes. Parquet may hold a table or images, so the larger limit applies first."""
    tables, images, arrays = (
        settings.max_dataset_bytes,
        settings.max_image_dataset_bytes,
        settings.max_array_dataset_bytes,
    )
    limits = {"csv": tables, "parquet": max(tables, images), "zip": images, "tar": images, "npz": arrays}
    return limits[found]
