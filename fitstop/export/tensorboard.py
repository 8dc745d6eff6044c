"""Writes TensorBoard's event files: one for training and one for validation, so that both curves are in one chart.

Each job has a folder, and the names of its files contain the job's id. So another export replaces the files, and
TensorBoard shows each row once. The package `tensorboard`, which PyTorch also uses, needs no TensorFlow.
"""

import math
import os
import re
from collections.abc import Iterable
from pathlib import Path

from fitstop.client import Json
from fitstop.export.rows import Row, seconds_of

_VALIDATION = "val_"
# The first event of a file.
_VERSION = "brain.Event:2"
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._-]+")


def write_run(job: Json, rows: Iterable[Row], folder: Path) -> Path:
    """Write the rows of a job below `folder`, completely or not at all, and return the folder of its run.

    Raises ImportError if the package `tensorboard` is missing, and OSError if a file cannot be written.
    """
    run = folder / run_name(job)
    listed = list(rows)
    validation = [_only(row, is_validation=True) for row in listed]
    _write_file(run / "train", job, [_only(row, is_validation=False) for row in listed])
    if any(row.values for row in validation):
        _write_file(run / "validation", job, validation)
    return run


def run_name(job: Json) -> str:
    """The folder's name: the job's name and the end of its id, since names are not unique."""
    name = _NOT_IN_A_NAME.sub("-", job["name"]).strip("-.")[:64]
    return f"{name or 'job'}-{job['id'][-6:]}"


def _only(row: Row, *, is_validation: bool) -> Row:
    """The row with only its training or only its validation values, without the prefix `val_`."""
    values = row.values.items()
    kept = {
        name.removeprefix(_VALIDATION): one for name, one in values if name.startswith(_VALIDATION) == is_validation
    }
    return Row(row.epoch, row.moment, kept)


def _write_file(folder: Path, job: Json, rows: list[Row]) -> None:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    folder.mkdir(parents=True, exist_ok=True)
    began = seconds_of(job["created_at"])
    path = folder / f"events.out.tfevents.{began:.0f}.{job['id']}"
    beside = path.with_name(f".{os.getpid()}.part")
    try:
        with beside.open("wb") as file:
            writer = RecordWriter(file)
            writer.write(Event(wall_time=began, file_version=_VERSION).SerializeToString())
            for row in rows:
                values = [
                    Summary.Value(tag=name, simple_value=math.nan if one is None else one)
                    for name, one in row.values.items()
                ]
                event = Event(wall_time=row.moment, step=row.epoch, summary=Summary(value=values))
                writer.write(event.SerializeToString())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
