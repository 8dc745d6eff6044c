"""GET /datasets/{id}/images: thumbnails that were created at the upload of the images.

The API's own process decodes nothing of an upload.
"""

from base64 import b64encode
from collections.abc import Iterator
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

from flask import Response

from api.auth.projects import find_dataset
from api.http.answer import json_response
from api.http.operation import integer, json_answer, operation, text
from api.http.query import Query
from api.shapes.base import Page
from api.shapes.service import DatasetImage
from api.state.service import service
from shared.parquet_files import open_parquet
from shared.problems import NotFound

_MOST, _USUAL = 100, 24
# More than ingest writes: 24 rows for each class, or one for each of 65,536 classes.
_MOST_ROWS = 100_000
# Maximum size of one thumbnail, or of its name.
_MOST_BYTES = 1024**2
_TEXTS = ("path", "label", "split", "image", "type")


@operation(
    "listDatasetImages",
    "datasets",
    "List thumbnails of a dataset",
    {200: json_answer("Some images.", Page[DatasetImage])},
    query={
        "class": text("Name of a class. Default: some images of each class.", minLength=1),
        "limit": integer(1, _MOST, _USUAL, "Maximum number of images."),
    },
    errors=(404,),
)
def show_images(dataset_id: str) -> Response:
    """List the first images of a class, or some of each class, each as a small PNG or JPEG in a data URI."""
    with Query("class", "limit") as query:
        name = query.parse("class", str, None)
        limit = query.integer("limit", _USUAL, 1, _MOST)
    info = find_dataset(dataset_id)
    if info is None:
        raise NotFound("there is no dataset with this id")
    if info.images is None:
        raise NotFound("this dataset has no images")
    if name is not None and name not in info.images.class_names:
        raise NotFound("the dataset has no class with this name")
    path = service().volume.dataset_folder(dataset_id) / "thumbnails.parquet"
    rows, has_more = _read(path, name, limit)
    return json_response(Page[DatasetImage](object="list", data=[_describe(row) for row in rows], has_more=has_more))


def _read(path: Path, name: str | None, limit: int) -> tuple[list[dict[str, Any]], bool]:
    """The first rows of the class, or of all classes in turn, and whether there are more. Reads few row groups."""
    with open_parquet(path, most_rows=_MOST_ROWS, dictionary=_TEXTS) as file:
        labels = _labels(file)
        chosen = _in_turn(labels) if name is None else [at for at, label in enumerate(labels) if label == name]
        wanted = chosen[:limit]
        found = dict(_rows_at(file, set(wanted)))
        return [found[at] for at in wanted], len(chosen) > limit


def _labels(file: Any) -> list[str]:
    """The label of each row. Rows of one class share one string object."""
    cells = file.read(["label"], use_threads=False)["label"].unify_dictionaries().combine_chunks()
    names = [_check_size(one) for one in cells.dictionary.to_pylist()]
    return [names[index] for index in cells.indices.to_pylist()]


def _in_turn(labels: list[str]) -> list[int]:
    """The rows in turns: the first of each class, then the second of each class, and so on."""
    places: dict[str, list[int]] = {}
    for place, label in enumerate(labels):
        places.setdefault(label, []).append(place)
    turns = zip_longest(*(places[label] for label in sorted(places)))
    return [place for place in chain.from_iterable(turns) if place is not None]


def _rows_at(file: Any, places: set[int]) -> Iterator[tuple[int, dict[str, Any]]]:
    start = 0
    for group in range(file.num_row_groups):
        end = start + file.metadata.row_group(group).num_rows
        if any(start <= place < end for place in places):
            rows = file.read_row_group(group, use_threads=False)
            for place in places & set(range(start, end)):
                yield place, {name: _check_size(rows[name][place - start].as_py()) for name in rows.column_names}
        start = end


def _check_size(value: Any) -> Any:
    """Return a value of the file. Raises ValueError if it is larger than any that ingest writes."""
    if isinstance(value, str | bytes) and len(value) > _MOST_BYTES:
        raise ValueError(f"a value of {len(value)} bytes")
    return value


def _describe(row: dict[str, Any]) -> DatasetImage:
    content, media_type = row.pop("image"), row.pop("type")
    uri = f"data:{media_type};base64,{b64encode(content).decode()}"
    return DatasetImage(object="dataset_image", thumbnail=uri, **row)
