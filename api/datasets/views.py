"""PUT /datasets/{id}, GET /datasets, GET and DELETE /datasets/{id}."""

import json

from flask import Response, request
from pydantic import TypeAdapter, ValidationError

from api.auth.access import caller
from api.auth.project_quotas import check_bytes
from api.auth.projects import find_dataset, is_taken, reaches, read_project
from api.auth.quotas import count_upload
from api.auth.uploads import LIST_QUERY, check_request, read_listed, remove_unused, taken_id, unfinished_id
from api.datasets.upload import Upload, receive
from api.datasets.upload_options import UPLOAD_PARAMETERS, UploadOptions, read_options
from api.http.answer import json_response
from api.http.operation import BODY_ERRORS, Answer, json_answer, operation, text
from api.http.query import Query, no_query
from api.shapes.base import Page, take_fields
from api.shapes.service import Dataset
from api.state.service import service
from shared.dataset import DatasetInfo
from shared.durable import create_file, encode
from shared.ids import is_dataset_id
from shared.problems import Conflict, NotFound
from shared.spec import Text
from shared.times import utc_now

_MOST_NAME = 256
_FILE = {"type": "string", "format": "binary"}
UPLOAD_QUERY = {"name": text("Original name of the file.", minLength=1, maxLength=_MOST_NAME), **UPLOAD_PARAMETERS}
_LINKS = {name: (name, {"dataset_id": "$response.body#/id"}) for name in ("showDataset", "deleteDataset")}
_MISSING = "there is no dataset with this id"
_TEXT: TypeAdapter[str] = TypeAdapter(Text)


@operation(
    "putDataset",
    "datasets",
    "Upload a dataset",
    {
        200: json_answer("Dataset unchanged.", Dataset, headers=("Location",), links=_LINKS),
        201: json_answer("Dataset created.", Dataset, headers=("Location",), links=_LINKS),
    },
    query=UPLOAD_QUERY,
    body={
        "text/csv": {"type": "string", "minLength": 1},
        "application/vnd.apache.parquet": _FILE,
        "application/zip": _FILE,
        "application/x-tar": _FILE,
        "application/gzip": _FILE,
    },
    example="kind,size,label\nred,1.5,0\nblue,2.5,1\nred,3.5,1\nblue,0.5,0\n",
    errors=(*BODY_ERRORS, 409, 503, 507),
)
def put(dataset_id: str) -> tuple[Response, int, dict[str, str]]:
    """Store a file under an id: 201. The same bytes and options again: 200. Others: 409.

    The kind follows from the content: CSV or Parquet is a table; a zip, tar or tar.gz of images, or Parquet with the
    columns `image` and `label`, is a dataset of images; npz is one of arrays.
    """
    with Query("name", "missing_values", "column_kinds") as query:
        name = query.parse("name", source_name, None)
        options = read_options(query)
    check_request(dataset_id, is_taken, is_id=is_dataset_id(dataset_id))
    is_repeated = find_dataset(dataset_id) is not None
    if not is_repeated:
        check_bytes(request.content_length or 0)
    with count_upload(), receive(service().volume.datasets, service().settings) as upload:
        if not is_repeated:
            check_bytes(upload.bytes)
        return publish(upload, dataset_id, name, options)


def publish(
    upload: Upload, dataset_id: str, name: str | None, options: UploadOptions
) -> tuple[Response, int, dict[str, str]]:
    """Publish the upload as the dataset, and answer. Raises Refused, Conflict, HttpProblem."""
    info, is_new = _store(upload, dataset_id, name, options)
    if not reaches(info.project):
        raise taken_id(dataset_id)
    if is_new:
        service().usage.forget(info.project)
    if info.sha256 != upload.sha256:
        raise Conflict(f'the dataset "{dataset_id}" has other data; choose another id')
    if not options.are_those_of(info):
        detail = "holds the same file, read with other missing_values or column_kinds"
        raise Conflict(f'the dataset "{dataset_id}" {detail}; choose another id, or delete it first')
    return json_response(dataset_report(info)), 201 if is_new else 200, {"Location": f"/datasets/{dataset_id}"}


@operation(
    "listDatasets",
    "datasets",
    "List the datasets",
    {200: json_answer("One page.", Page[Dataset])},
    query=LIST_QUERY,
)
def show_all() -> Response:
    """List the datasets, newest first; `after` is the last id of the previous page."""
    with Query("limit", "after", "project") as query:
        limit = query.integer("limit", 20, 1, 100)
        after = query.parse("after", _cursor, None)
        project = read_project(query)
    found = sorted((info for info in _readable() if project in {None, info.project}), key=_age, reverse=True)
    if after is not None:
        found = [info for info in found if _age(info) < after]
    items = [dataset_report(info) for info in found[:limit]]
    return json_response(Page[Dataset](object="list", data=items, has_more=len(found) > limit))


@operation(
    "showDataset",
    "datasets",
    "Show a dataset and its profile",
    {200: json_answer("The dataset.", Dataset)},
    errors=(404,),
)
def show(dataset_id: str) -> Response:
    """Show one dataset and its profile."""
    no_query()
    info = find_dataset(dataset_id)
    if info is None:
        raise NotFound(_MISSING)
    return json_response(dataset_report(info))


@operation(
    "deleteDataset",
    "datasets",
    "Delete a dataset that no unfinished job and no running sweep uses",
    {204: Answer("Deleted.")},
    errors=(404, 409),
)
def delete(dataset_id: str) -> tuple[str, int]:
    """Delete a dataset that no unfinished job and no running sweep uses: 204. Finished jobs keep their models."""
    no_query()
    return remove_unused(
        "dataset",
        find_dataset(dataset_id),
        lambda job: dataset_id in job.spec.dataset_ids,
        service().volume.remove_dataset,
        _MISSING,
    )


def _store(upload: Upload, dataset_id: str, name: str | None, options: UploadOptions) -> tuple[DatasetInfo, bool]:
    """Store the upload unless the id exists. Return the dataset with the id, and whether this upload created it."""
    volume = service().volume
    known = volume.dataset(dataset_id)
    if known is not None:
        return known, False
    info = _describe(upload, dataset_id, name, options)
    create_file(upload.folder / "dataset.json", encode(info.model_dump(mode="json")))
    if volume.publish_dataset(upload.folder, dataset_id):
        return info, True
    existing = volume.dataset(dataset_id)
    if existing is None:
        raise unfinished_id(dataset_id)
    return existing, False


def _describe(upload: Upload, dataset_id: str, name: str | None, options: UploadOptions) -> DatasetInfo:
    facts = {
        **vars(options),
        "id": dataset_id,
        "project": caller().project,
        "created_at": utc_now(),
        "source_name": name,
        "source_format": upload.format,
        "sha256": upload.sha256,
        "bytes": upload.bytes,
        **upload.parse(service().settings, options),
    }
    return DatasetInfo.model_validate_json(json.dumps(facts))


def _readable() -> list[DatasetInfo]:
    """All datasets. One that cannot be read is logged and left out."""
    volume = service().volume
    found = (read_listed("dataset", dataset_id, volume.dataset) for dataset_id in volume.dataset_ids())
    return [info for info in found if info is not None]


def _age(info: DatasetInfo) -> tuple[str, str]:
    return info.created_at, info.id


def _cursor(text: str) -> tuple[str, str]:
    """The position of a dataset in the list, also of one deleted since the previous page."""
    origin = service().volume.dataset_origin(text)
    if origin is None or not reaches(origin.project):
        raise ValueError("the id of a dataset")
    return origin.created_at, text


def source_name(text: str) -> str:
    """The checked parameter `name`. Raises ValueError with what is expected."""
    if not 1 <= len(text) <= _MOST_NAME:
        raise ValueError(f"1 to {_MOST_NAME} characters")
    try:
        return _TEXT.validate_python(text)
    except ValidationError:
        raise ValueError("plain text without control characters") from None


def dataset_report(info: DatasetInfo) -> Dataset:
    """The answer to GET /datasets/{id}."""
    return take_fields(Dataset, info, object="dataset")
