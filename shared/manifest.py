"""`checkpoints/manifest.json`: the complete checkpoints of an attempt, with their metrics.

Only files that it names are served. It is replaced as a whole, and only after the checkpoint is saved.
"""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from shared.document import Document, read_document
from shared.durable import encode, replace_file
from shared.progress import Count
from shared.times import Time


class Checkpoint(BaseModel):
    """One saved model: its file's name and size, the epoch (from 1) after which it was saved, and that epoch's logs."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,199}$")]
    epoch: Count
    bytes: Count
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    saved_at: Time
    metrics: dict[str, float | None]


class Manifest(Document):
    """The checkpoints in the order in which they were saved; `best` names one of them, or none."""

    best: str | None = None
    checkpoints: tuple[Checkpoint, ...] = ()

    def find(self, name: str) -> Checkpoint | None:
        """The checkpoint with that name, or None."""
        return next((one for one in self.checkpoints if one.name == name), None)


def read_manifest(path: Path) -> Manifest:
    """The manifest at `path`; an empty one if the file does not exist yet. Raises UnusableDocument."""
    return read_document(path, Manifest) or Manifest()


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Replace the manifest at `path`; the checkpoints that it names must be on the disk already."""
    replace_file(path, encode(manifest.model_dump(mode="json")))
