"""Puts datasets and jobs on a volume as the API does, small enough for a test."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from shared.dataset import Column, ColumnKind, DatasetInfo, ImageClass, ImagesProfile, ValueCount
from shared.earlier_model import find_best, keep
from shared.ids import new_job_id
from shared.job import Claim, JobRecord, TrialOf
from shared.job_folder import AttemptFolder, JobFolder
from shared.project import DEFAULT_PROJECT
from shared.resolve import resolve
from shared.spec import EarlierJobSpec, JobSpec
from shared.times import utc_now
from shared.validation import validate
from shared.volume import Volume
from shared.weights import weights_of

_KINDS: dict[str, ColumnKind] = {"i": "integer", "f": "float", "b": "boolean", "M": "datetime"}


def learnable_frame(rows: int = 240, seed: int = 1) -> pd.DataFrame:
    """Four inputs, one of them text with two values, and an integer target from 0 to 5 that depends on them."""
    generator = np.random.default_rng(seed)
    a, b, c = generator.normal(size=(3, rows))
    kind = np.where(generator.random(rows) < 0.5, "red", "white")
    signal = a + 0.5 * b + (kind == "red") + 0.3 * generator.normal(size=rows)
    grade = np.digitize(signal, [-1.0, -0.2, 0.4, 1.0, 1.8])
    return pd.DataFrame({"kind": kind, "a": a, "b": b, "c": c, "grade": grade})


def put_dataset(
    volume: Volume, frame: pd.DataFrame, dataset_id: str = "grades", project: str = DEFAULT_PROJECT
) -> DatasetInfo:
    """Put a frame on the volume as a dataset."""
    folder = volume.datasets / dataset_id
    folder.mkdir()
    frame.to_parquet(folder / "data.parquet")
    info = DatasetInfo(
        id=dataset_id,
        project=project,
        created_at=utc_now(),
        source_name=None,
        source_format="parquet",
        sha256="0" * 64,
        bytes=1,
        data_sha256=hashlib.sha256((folder / "data.parquet").read_bytes()).hexdigest(),
        rows=len(frame),
        columns=tuple(column_of(frame[name]) for name in frame.columns),
    )
    (folder / "dataset.json").write_text(info.model_dump_json())
    return info


def put_images(volume: Volume, dataset_id: str = "pictures", project: str = DEFAULT_PROJECT) -> DatasetInfo:
    """Put a dataset on the volume with thumbnails of two images, but without images to train on."""
    names = ("cat", "dog")
    shown = [{"path": f"{name}.png", "label": name, "split": "", "width": 8, "height": 6} for name in names]
    info = put_dataset(volume, pd.DataFrame(shown), dataset_id, project)
    thumbnails = pd.DataFrame([{**row, "image": b"\x89PNG", "type": "image/png"} for row in shown])
    thumbnails.to_parquet(volume.dataset_folder(dataset_id) / "thumbnails.parquet")
    images = ImagesProfile(
        classes=tuple(ImageClass(name=name, unsplit=1) for name in names),
        width=(8, 8),
        height=(6, 6),
        channels={"3": 2},
        duplicates=0,
        in_train_and_validation=0,
    )
    info = info.model_copy(update={"kind": "images", "columns": (), "images": images})
    (volume.dataset_folder(dataset_id) / "dataset.json").write_text(info.model_dump_json())
    return info


def small_spec(**parts: Any) -> dict[str, Any]:
    """A spec that trains in about a second. `parts` replace its fields; objects are merged one level deep."""
    spec: dict[str, Any] = {
        "name": "grades",
        "dataset": {"id": "grades", "target": "grade", "positive": {"at_least": 3}},
        "model": {"layers": [8]},
        "hyperparameters": {"epochs": 4, "batch_size": 32},
    }
    for key, value in parts.items():
        spec[key] = {**spec.get(key, {}), **value} if isinstance(value, dict) else value
    return spec


# Trains until it is cancelled. Without XLA, since compiling takes more than a second of processor time.
LONG = small_spec(hyperparameters={"epochs": 100_000, "xla": False}, callbacks={"early_stopping": None})


def put_job(
    volume: Volume,
    spec: dict[str, Any],
    project: str = DEFAULT_PROJECT,
    job_id: str | None = None,
    sweep: TrialOf | None = None,
) -> JobFolder:
    """Post a job as the API does, without a notification."""
    asked = validate(JobSpec, spec)
    data = volume.dataset(asked.dataset.id)
    assert data is not None
    earlier = find_best(volume.job_folder(asked.model.job)) if isinstance(asked.model, EarlierJobSpec) else None
    resolved = resolve(asked, data, earlier=earlier)
    weights = volume.weights.find(weights_of(asked) or "none")
    return volume.store_job(
        JobRecord(
            id=job_id or new_job_id(),
            created_at=utc_now(),
            spec=resolved.spec,
            task=resolved.task,
            data_sha256=data.data_sha256,
            warnings=resolved.warnings,
            weights_sha256=weights.data_sha256 if weights else None,
            lineage=earlier.lineage if earlier else (),
            project=project,
            sweep=sweep,
        ),
        (lambda job: keep(earlier, job, is_final=False)) if earlier else lambda _: None,
    )


def claim(
    job: JobFolder, number: int = 1, owner: str = "tests", dollars_per_hour: float | None = None
) -> AttemptFolder:
    """Claim an attempt as a worker does."""
    attempt = job.take(
        Claim(
            attempt=number, owner=owner, host="here", pid=1, slot=0, device="CPU", claimed_at=utc_now(),
            gpu_price_per_hour=dollars_per_hour, currency="USD" if dollars_per_hour else None,
        )
    )  # fmt: skip
    assert attempt is not None
    return attempt


def rows_of(log: Path) -> pd.DataFrame:
    """The rows of a training log."""
    return pd.read_csv(log)


def column_of(series: "pd.Series[Any]") -> Column:
    """The profile of a column, as an upload computes it."""
    kind: ColumnKind = _KINDS.get(series.dropna().infer_objects().dtype.kind, "text")
    counts = series.value_counts().sort_index()
    numbers = series.dropna().astype(float) if kind not in {"text", "datetime"} else None
    listed = (
        ()
        if kind == "datetime"
        else tuple(ValueCount(value=_plain(value), rows=int(rows)) for value, rows in counts.items())
    )
    return Column(
        name=str(series.name),
        kind=kind,
        missing=int(series.isna().sum()),
        distinct=len(counts),
        values=listed if len(counts) <= 100 and kind != "datetime" else None,
        minimum=float(numbers.min()) if numbers is not None else None,
        maximum=float(numbers.max()) if numbers is not None else None,
        mean=float(numbers.mean()) if numbers is not None else None,
    )


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
