"""A zip or tar of images: a folder for each class, or tables of labels beside the files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from api.archive import ArchiveFormat, read_archive, survey_archive
from api.archive.entries import ArchiveLimits, Entry, show
from api.datasets.ingest.archive_files import FileKind, fault_of, kind_of, wants_head
from api.datasets.ingest.image_labels import Label, label_images
from api.datasets.ingest.images import MOST_NAMES_LEFT_OUT, ImageItem, Images, store_images
from api.datasets.ingest.limits import ImageLimits, refusal
from shared.problems import Problem, Refused, at_most_shown, list_names, pointer

_MOST_TABLE_BYTES = 256 * 1024**2
_NAMED = 5


def take_image_archive(folder: Path, kind: ArchiveFormat, limits: ImageLimits) -> dict[str, Any]:
    """Write `data.parquet` from the archive `upload`; return the facts. Raises Refused with every problem."""
    upload = folder / "upload"
    files = survey_archive(upload, kind, ArchiveLimits(2 * limits.images, limits.bytes), wants_head)
    _refuse_faults(files)
    by_kind = _sort(files)
    _check_counts(by_kind, limits)
    labels = label_images([one.name for one in by_kind["image"]], _read_tables(upload, kind, by_kind["metadata"]))
    images = Images(limits, problems=labels.problems)
    facts = store_images(_items(upload, kind, labels.of, images), images, folder)
    others = [show(one.name) for one in by_kind["other"]]
    warnings = [*_warn_of_left_out(others, len(by_kind["system"])), *labels.warnings, *facts["warnings"]]
    return {**facts, "left_out": others[:MOST_NAMES_LEFT_OUT], "warnings": warnings}


def _refuse_faults(files: list[Entry]) -> None:
    faults = ((one.name, fault_of(one.name, one.head)) for one in files)
    problems = [Problem(pointer("files", show(name)), fault, "bad_entry") for name, fault in faults if fault]
    if problems:
        raise Refused(at_most_shown(problems))


def _sort(files: list[Entry]) -> dict[FileKind, list[Entry]]:
    by_kind: dict[FileKind, list[Entry]] = {"image": [], "metadata": [], "system": [], "other": []}
    for one in files:
        by_kind[kind_of(one.name, one.head)].append(one)
    return by_kind


def _check_counts(by_kind: dict[FileKind, list[Entry]], limits: ImageLimits) -> None:
    if not by_kind["image"]:
        others = list_names([show(one.name) for one in by_kind["other"]], _NAMED)
        found = f"holds no image, only {others}" if others else "holds no image"
        raise refusal("#", f"{found}; send a table as a CSV or Parquet file, not packed", "no_images")
    if len(by_kind["image"]) > limits.images:
        detail = f"holds {len(by_kind['image'])} images, expected at most {limits.images}"
        raise refusal("#", detail, "too_many_images")
    for table in by_kind["metadata"]:
        if table.size > _MOST_TABLE_BYTES:
            detail = f"has {table.size} bytes, expected at most {_MOST_TABLE_BYTES}"
            raise refusal(pointer("files", show(table.name)), detail, "too_large")


def _read_tables(upload: Path, kind: ArchiveFormat, tables: list[Entry]) -> dict[str, bytes]:
    names = {one.name for one in tables}
    if not names:
        return {}
    return {one.name: one.read(one.size) for one in read_archive(upload, kind, names.__contains__)}


def _items(upload: Path, kind: ArchiveFormat, labels: dict[str, Label], images: Images) -> Iterator[ImageItem]:
    """The images that have a label. One that is too large or damaged is left out and added to the problems."""
    for file in read_archive(upload, kind, labels.__contains__):
        if file.size > images.limits.image_bytes:
            detail = f"has {file.size} bytes, expected at most {images.limits.image_bytes}"
            images.refuse(file.name, detail, "too_large")
            continue
        try:
            content = file.read(file.size)
        except Refused as damage:
            images.refuse(file.name, damage.problems[0].detail, damage.problems[0].code)
            continue
        yield ImageItem(file.name, labels[file.name], content)


def _warn_of_left_out(others: list[str], system: int) -> list[str]:
    warnings = [f"files left out because they are not images: {list_names(others, _NAMED)}"] if others else []
    if system:
        warnings.append(f"hidden files and files of the operating system left out: {system}")
    return warnings
