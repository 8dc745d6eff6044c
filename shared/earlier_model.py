"""The best model of an earlier job that another job starts from.

jobs/<aa>/<job id>/earlier/
  spec.json               that of the job that trained the model
  <sha256>.keras          the model, a hard link: it stays when the other job is deleted
  schema.json             for a table: the input columns
  preprocessing.skops     for a table: the fitted steps

The files exist before the job. Only a model's configuration is read here, without Keras, so the API and the training
process check the same facts.
"""

import hashlib
import json
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from shared.document import read_document
from shared.durable import link_file, make_folder, sync_folder
from shared.job import Ancestor, JobRecord
from shared.job_folder import SPEC_FILE, AttemptFolder, JobFolder
from shared.keras_config import check_config
from shared.keras_head import Head, find_head
from shared.manifest import Checkpoint, read_manifest
from shared.mirror.attached import bring
from shared.plain_files import open_plain, read_plain
from shared.problems import FitstopError
from shared.spec import ProgramJobSpec, TableSpec

EARLIER = "earlier"
# The lineage of a model has only its newest models.
_MOST_ANCESTORS = 32
_MOST_CONFIG_BYTES = 16 * 1024**2
_CONFIG, _SCHEMA, _STEPS = "config.json", "schema.json", "preprocessing.skops"


class CannotStart(FitstopError):
    """No job can start from the model of that job, for the reason given."""

    code = "cannot_start_from"


@dataclass(frozen=True)
class Column:
    """A column that the earlier model was trained on: its kind, and how it was encoded."""

    name: str
    kind: str
    encoding: str


@dataclass(frozen=True)
class EarlierModel:
    """A model on the volume, and the record of the job that trained it.

    `spec_file` is that job's `spec.json`. `folder` has, for a table, the files of its preprocessing. `ancestor` names
    the model.
    """

    folder: Path
    spec_file: Path
    file: Path
    ancestor: Ancestor
    record: JobRecord

    @property
    def lineage(self) -> tuple[Ancestor, ...]:
        """The model, and those that it was itself trained from, newest first."""
        return (self.ancestor, *self.record.lineage)[:_MOST_ANCESTORS]

    @cached_property
    def config(self) -> dict[str, Any]:
        """The model's configuration as Keras wrote it. Raises CannotStart."""
        try:
            with open_plain(self.file) as file, zipfile.ZipFile(file) as archive:
                entry = archive.getinfo(_CONFIG)
                if entry.file_size > _MOST_CONFIG_BYTES:
                    raise CannotStart("the configuration of its best model is too large")
                config = json.loads(archive.read(entry))
        except FileNotFoundError:
            raise
        except (OSError, ValueError, KeyError, zipfile.BadZipFile, RecursionError) as error:
            raise CannotStart("its best model cannot be read") from error
        if not isinstance(config, dict):
            raise CannotStart("its best model cannot be read")
        if problems := check_config(config):
            raise CannotStart(f"its best model cannot be built: {problems[0].detail}")
        return config

    @cached_property
    def head(self) -> Head | str:
        """The model's head, or why it cannot be replaced."""
        return find_head(self.config)

    @cached_property
    def columns(self) -> tuple[Column, ...] | None:
        """The input columns of a table; None for other data. Raises CannotStart."""
        if not isinstance(self.record.data_spec.dataset, TableSpec):
            return None
        content = read_plain(self.folder / _SCHEMA)
        if content is None or not (self.folder / _STEPS).exists():
            raise CannotStart(
                "it was trained by a version of Fitstop that kept no schema of its columns; retry it first"
            )
        return tuple(Column(one["name"], one["kind"], one["encoding"]) for one in json.loads(content)["inputs"])


def find_best(job: JobFolder, sha256: str | None = None) -> EarlierModel:
    """The best model of a job, or its model with that hash. Raises CannotStart, UnusableDocument."""
    record = job.record()
    if record is None:
        raise CannotStart("there is no job with this id")
    if isinstance(record.spec, ProgramJobSpec):
        raise CannotStart("it runs a program, so the classes and the preprocessing of its model are not known")
    for attempt in reversed(job.runs()):
        manifest = read_manifest(attempt.manifest_file)
        wanted = [
            one for one in manifest.checkpoints if (one.sha256 if sha256 else one.name) == (sha256 or manifest.best)
        ]
        if wanted:
            return _of_attempt(attempt, wanted[0], record)
        if manifest.checkpoints and sha256 is None:
            break
    raise CannotStart("it has saved no model; wait for its first checkpoint, or choose another job")


def _of_attempt(attempt: AttemptFolder, best: Checkpoint, record: JobRecord) -> EarlierModel:
    if not best.name.endswith(".keras"):
        raise CannotStart(f"its best model {best.name} is not a .keras file; only those contain the architecture")
    ancestor = Ancestor(
        job=record.id, name=record.spec.name, checkpoint=best.name, sha256=best.sha256, epoch=best.epoch
    )
    return EarlierModel(attempt.path, attempt.job.spec_file, attempt.checkpoints / best.name, ancestor, record)


def find_kept(job: JobFolder, record: JobRecord) -> EarlierModel | None:
    """The model that the job of `record` starts from, or None.

    Raises FileNotFoundError if its files are missing, UnusableDocument.
    """
    if not record.lineage:
        return None
    folder, ancestor = job.path / EARLIER, record.lineage[0]
    before = read_document(folder / SPEC_FILE, JobRecord)
    if before is None:
        raise FileNotFoundError(folder / SPEC_FILE)
    return EarlierModel(folder, folder / SPEC_FILE, folder / f"{ancestor.sha256}.keras", ancestor, before)


def keep(model: EarlierModel, into: JobFolder, *, is_final: bool) -> None:
    """Link the model and its files into the folder of a new job, before the job exists.

    Unless `is_final`, its job may be writing another model under the same name, so the linked file is hashed.
    Raises CannotStart if the model has changed, FileNotFoundError if it was deleted in the meantime.
    """
    bring(model.folder, model.file.parent)
    folder = into.path / EARLIER
    make_folder(folder, within=into.path.parents[2])
    kept = folder / f"{model.ancestor.sha256}.keras"
    link_file(model.file, kept)
    if not is_final and _sha256(kept) != model.ancestor.sha256:
        kept.unlink(missing_ok=True)
        raise CannotStart("it has saved a better model in the meantime; post the job again")
    link_file(model.spec_file, folder / SPEC_FILE)
    for name in (_SCHEMA, _STEPS) if model.columns is not None else ():
        link_file(model.folder / name, folder / name)
    sync_folder(folder)


def _sha256(path: Path) -> str:
    with open_plain(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
