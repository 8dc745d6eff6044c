"""A Parquet file with a column `image` of encoded images, as in the datasets of Hugging Face."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter, ValidationError

from api.archive.entries import show
from api.datasets.ingest.image_labels import SPLITS, Label
from api.datasets.ingest.images import ImageItem, Images, store_images
from api.datasets.ingest.limits import ImageLimits, refusal
from shared.problems import Problem, Refused, list_names, pointer
from shared.spec import Column as ClassName

_IMAGE, _LABEL, _BYTES = "image", "label", "bytes"
_USED = (_IMAGE, _LABEL, "path", "split")
# A row may contain a large image, so few are read at a time.
_BATCH_ROWS = 16
# Without a buffer a whole column of a row group is read at once.
_BUFFER_BYTES = 1024**2
_CLASS_NAME: TypeAdapter[str] = TypeAdapter(ClassName)
_UNREADABLE = (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowIndexError, pa.ArrowTypeError, OSError)


def holds_images(path: Path) -> bool:
    """Whether the footer of a Parquet file names a column `image` of bytes."""
    try:
        schema = pq.read_schema(path)
    except _UNREADABLE:
        return False
    return _IMAGE in schema.names and _is_image(schema.field(_IMAGE).type)


def take_image_parquet(folder: Path, limits: ImageLimits) -> dict[str, Any]:
    """Write `data.parquet` from the Parquet file `upload`; return the facts. Raises Refused with every problem."""
    images = Images(limits)
    with pq.ParquetFile(folder / "upload", buffer_size=_BUFFER_BYTES) as file:
        _check(file, limits)
        others = [name for name in file.schema_arrow.names if name not in _USED]
        facts = store_images(_items(file, images), images, folder)
    warnings = [f"left out the columns {show(list_names(others))}"] if others else []
    return {**facts, "left_out": [show(name) for name in others], "warnings": [*warnings, *facts["warnings"]]}


def _check(file: pq.ParquetFile, limits: ImageLimits) -> None:
    """Raise Refused for too many rows or unsuitable columns. Reads only the footer."""
    schema, rows = file.schema_arrow, file.metadata.num_rows
    if rows > limits.images:
        raise refusal("#", f"holds {rows} images, expected at most {limits.images}", "too_many_images")
    problems = []
    if _LABEL not in schema.names:
        problems.append(Problem("#", 'has a column "image" but no column "label"', "missing_column"))
    elif not _is_label(schema.field(_LABEL).type):
        detail = f"holds {str(schema.field(_LABEL).type)[:60]}, expected texts or whole numbers"
        problems.append(Problem(pointer("columns", _LABEL), detail, "unsupported_type"))
    problems += [
        Problem(pointer("columns", name), "occurs twice", "duplicate_name")
        for name in _USED
        if schema.names.count(name) > 1
    ]
    if problems:
        raise Refused(problems)


def _items(file: pq.ParquetFile, images: Images) -> Iterator[ImageItem]:
    """The images of the rows. A row without an image or a label is left out and added to the problems."""
    names = _class_names(file.schema_arrow)
    wanted = [name for name in file.schema_arrow.names if name in _USED]
    number = 0
    try:
        for batch in file.iter_batches(_BATCH_ROWS, columns=wanted, use_threads=False):
            for row in batch.to_pylist():
                number += 1
                if (item := _item(row, number, names, images)) is not None:
                    yield item
    except _UNREADABLE:
        raise refusal("#", "is not a Parquet file that can be read", "unreadable") from None


def _item(row: dict[str, Any], number: int, names: list[str], images: Images) -> ImageItem | None:
    content, path = _content(row[_IMAGE])
    path = _text(row.get("path")) or path or f"row {number}"
    if content is None:
        images.refuse(path, f"has no image (row {number})", "no_image")
    elif len(content) > images.limits.image_bytes:
        images.refuse(path, f"has {len(content)} bytes, expected at most {images.limits.image_bytes}", "too_large")
    elif images.bytes + len(content) > images.limits.bytes:
        raise refusal("#", f"unpacks to more than {images.limits.bytes} bytes, the maximum", "too_many_bytes")
    else:
        label = _label(row, names)
        if isinstance(label, Label):
            return ImageItem(path, label, content)
        images.refuse(path, f"{label} (row {number})", "no_label")
    return None


def _content(cell: Any) -> tuple[bytes | None, str | None]:
    """The encoded image, and the path in the same cell."""
    return (cell.get(_BYTES), _text(cell.get("path"))) if isinstance(cell, dict) else (cell, None)


def _text(cell: Any) -> str | None:
    return show(cell) if isinstance(cell, str) and cell else None


def _label(row: dict[str, Any], names: list[str]) -> Label | str:
    """The label of a row, or the description of its problem."""
    cell, split = row[_LABEL], row.get("split") or ""
    if isinstance(split, str) and split and split.lower() not in SPLITS:
        return f'has the part "{show(split)}", expected train, validation or test'
    if isinstance(cell, int) and not isinstance(cell, bool) and names:
        cell = names[cell] if 0 <= cell < len(names) else None
    try:
        return Label(_CLASS_NAME.validate_python(str(cell).strip() if cell is not None else ""), _split(split))
    except ValidationError:
        return "has no label, or one that is longer than 256 characters or holds a control character"


def _split(cell: Any) -> Any:
    return SPLITS.get(cell.lower(), "") if isinstance(cell, str) else ""


def _class_names(schema: pa.Schema) -> list[str]:
    """The class names of Hugging Face's ClassLabel, for a column of their numbers; empty without them."""
    try:
        found = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"][_LABEL]["names"]
    except (ValueError, KeyError, TypeError):
        return []
    return found if isinstance(found, list) and all(isinstance(name, str) for name in found) else []


def _is_image(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return kind.get_field_index(_BYTES) >= 0 and _is_bytes(kind.field(_BYTES).type)
    return _is_bytes(kind)


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _is_label(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return bool(is_text or pa.types.is_integer(kind) or pa.types.is_boolean(kind))
