"""Uploaded weights of a model: `models/<id>/weights.h5`, and `model.json` beside it, written once.

They are never loaded as a model. The training process reads their arrays by name, the API only their first bytes.
"""

from pathlib import Path
from typing import Literal

from shared.document import Document, read_document
from shared.durable import make_folder, publish_folder
from shared.ids import WeightsId, is_weights_id
from shared.job_folder import JobFolder
from shared.project import DEFAULT_PROJECT, ProjectName
from shared.spec import AnyJobSpec, ApplicationSpec, KerasSpec, ProgramJobSpec

MODELS = "models"
DOCUMENT = "model.json"
WEIGHTS_FILE = "weights.h5"


class WeightsInfo(Document):
    """Uploaded weights. `sha256` and `bytes` are of the upload, `data_sha256` is of the stored HDF5 file.

    `project` is that of the key that uploaded them.
    """

    id: WeightsId
    project: ProjectName = DEFAULT_PROJECT
    created_at: str
    source_name: str | None
    source_format: Literal["h5", "keras"]
    sha256: str
    bytes: int
    data_sha256: str


class WeightsStore:
    """All uploaded weights of a volume. The first upload creates their folder."""

    def __init__(self, root: Path) -> None:
        self._volume = root
        self.folder = root / MODELS

    def ids(self) -> list[str]:
        """The ids of all weights, sorted."""
        found = self.folder.iterdir() if self.folder.is_dir() else ()
        return sorted(entry.name for entry in found if is_weights_id(entry.name))

    def find(self, weights_id: str) -> WeightsInfo | None:
        """The facts of the weights; None if they do not exist or the id is not valid. Raises UnusableDocument."""
        return read_document(self.place(weights_id) / DOCUMENT, WeightsInfo) if is_weights_id(weights_id) else None

    def place(self, weights_id: str) -> Path:
        """The folder of the weights. Raises ValueError if the id is not valid."""
        if not is_weights_id(weights_id):
            raise ValueError(f"not an id of weights: {weights_id!r}")
        return self.folder / weights_id

    def make_folder(self) -> Path:
        """Create the folder of all weights durably, and return it."""
        make_folder(self.folder, within=self._volume)
        return self.folder

    def publish(self, prepared: Path, weights_id: str) -> bool:
        """Make a prepared folder the weights with that id atomically; False if the id is taken."""
        return publish_folder(self._volume, prepared, self.place(weights_id), lambda: self.find(weights_id))


def weights_of(spec: AnyJobSpec) -> str | None:
    """The id of the uploaded weights that a job starts from, or None."""
    if isinstance(spec, ProgramJobSpec):
        return None
    return spec.model.weights if isinstance(spec.model, KerasSpec | ApplicationSpec) else None


def weights_file_of(job: JobFolder, weights_id: str) -> Path:
    """The weights' file on the volume that `job` is on."""
    return WeightsStore(job.volume_root).place(weights_id) / WEIGHTS_FILE
