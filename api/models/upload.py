"""An upload of weights in progress: received and hashed in a hidden folder, then published or removed."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from api.state.incoming import incoming_folder, receive_pieces
from api.state.parser import parse_upload
from shared.durable import sync_file
from shared.problems import Problem, Refused
from shared.settings import Settings
from shared.weights import WEIGHTS_FILE

_HDF5 = b"\x89HDF\r\n\x1a\n"
_ZIP = b"PK\x03\x04"
_EXPECTED = "expected a .weights.h5 file of Keras 3 (HDF5), or a .keras file"


@dataclass(frozen=True)
class WeightsUpload:
    """The received weights: `sha256` is that of the uploaded file, `data_sha256` that of the HDF5 file in `folder`."""

    folder: Path
    format: Literal["h5", "keras"]
    bytes: int
    sha256: str
    data_sha256: str


@contextmanager
def receive(beside: Path, settings: Settings) -> Iterator[WeightsUpload]:
    """A context manager with the request's body on the volume. On exit, everything unpublished is removed.

    Raises Refused for a body without weights, and the errors of `receive_pieces` and `parse_upload`.
    """
    with incoming_folder(beside) as folder:
        yield _store(folder, settings)


def _store(folder: Path, settings: Settings) -> WeightsUpload:
    hashed, size, most_bytes = hashlib.sha256(), 0, settings.max_model_bytes
    upload, weights = folder / "upload", folder / WEIGHTS_FILE
    with upload.open("xb") as file:
        for piece in receive_pieces(folder, most_bytes, settings.volume_reserve_bytes):
            hashed.update(piece)
            size += len(piece)
            file.write(piece)
    is_archive = _head(upload).startswith(_ZIP)
    if is_archive:
        parse_upload("api.models.unpack", folder, size, {"max_bytes": most_bytes})
        upload.unlink()
    else:
        upload.rename(weights)
    if _head(weights) != _HDF5:
        found = "the weights in the archive are not an HDF5 file" if is_archive else "the body is not an HDF5 file"
        raise Refused([Problem("#", f"{found}; {_EXPECTED}", "no_weights")])
    sync_file(weights)
    digest = _sha256(weights) if is_archive else hashed.hexdigest()
    return WeightsUpload(folder, "keras" if is_archive else "h5", size, hashed.hexdigest(), digest)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(_HDF5))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
