"""Uploaded weights, made without Keras, and put on a volume as the API does."""

import hashlib
from pathlib import Path

from shared.times import utc_now
from shared.volume import Volume
from shared.weights import DOCUMENT, WEIGHTS_FILE, WeightsInfo

# The API checks only the signature.
HDF5 = b"\x89HDF\r\n\x1a\n" + bytes(range(200))


def put_weights(
    volume: Volume, weights_id: str = "first", content: bytes = HDF5, project: str = "default"
) -> WeightsInfo:
    """Put weights on the volume."""
    folder = volume.weights.make_folder() / weights_id
    folder.mkdir()
    (folder / WEIGHTS_FILE).write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    info = WeightsInfo(
        id=weights_id,
        project=project,
        created_at=utc_now(),
        source_name=None,
        source_format="h5",
        sha256=digest,
        bytes=len(content),
        data_sha256=digest,
    )
    (folder / DOCUMENT).write_text(info.model_dump_json())
    return info


def put_weights_file(volume: Volume, path: Path, weights_id: str = "first") -> WeightsInfo:
    """Put a file of weights on the volume."""
    return put_weights(volume, weights_id, path.read_bytes())
