"""PUT, GET and DELETE /models/{id}, GET /models: uploaded weights that a job's model starts from."""

from flask import Response, request

from api.auth.access import caller
from api.auth.project_quotas import check_bytes
from api.auth.projects import find_weights, is_weights_id_taken, reaches
from api.auth.quotas import count_upload
from api.auth.uploads import LIST_QUERY, check_request, read_page, remove_unused, taken_id, unfinished_id
from api.http.answer import json_response
from api.http.operation import BODY_ERRORS, Answer, json_answer, operation, text
from api.http.query import Query, no_query
from api.models.upload import WeightsUpload, receive
from api.shapes.base import Page, take_fields
from api.shapes.service import ModelWeights
from api.state.service import service
from shared.durable import create_file, encode
from shared.ids import is_weights_id
from shared.problems import Conflict, NotFound
from shared.times import utc_now
from shared.weights import DOCUMENT, WeightsInfo, weights_of

_FILE = {"type": "string", "format": "binary"}
_LINKS = {name: (name, {"weights_id": "$response.body#/id"}) for name in ("showModel", "deleteModel")}
_MISSING = "there are no weights with this id"


@operation(
    "putModel",
    "models",
    "Upload weights of a model",
    {
        200: json_answer("Weights unchanged.", ModelWeights, headers=("Location",), links=_LINKS),
        201: json_answer("Weights created.", ModelWeights, headers=("Location",), links=_LINKS),
    },
    query={"name": text("Original name of the file.", pattern=r"^[A-Za-z0-9._ -]{1,256}$")},
    body={"application/octet-stream": _FILE},
    errors=(*BODY_ERRORS, 409, 503, 507),
)
def put(weights_id: str) -> tuple[Response, int, dict[str, str]]:
    """Store a `.weights.h5` file, or the weights of a `.keras` file, under an id: 201. The same bytes again: 200.

    Other bytes under the same id: 409. The file is never loaded as a model: a job reads its arrays by their names.
    """
    with Query("name") as query:
        name = query.parse("name", _source_name, None)
    check_request(weights_id, is_weights_id_taken, is_id=is_weights_id(weights_id))
    current = service()
    is_repeated = find_weights(weights_id) is not None
    if not is_repeated:
        check_bytes(request.content_length or 0)
    with count_upload(), receive(current.volume.datasets, current.settings) as upload:
        if not is_repeated:
            check_bytes(upload.bytes)
        info, is_new = _store(upload, weights_id, name)
    if not reaches(info.project):
        raise taken_id(weights_id)
    if is_new:
        current.usage.forget(info.project)
    if info.sha256 != upload.sha256:
        raise Conflict(f'the model "{weights_id}" has other weights; choose another id')
    return json_response(_report(info)), 201 if is_new else 200, {"Location": f"/models/{weights_id}"}


@operation(
    "listModels",
    "models",
    "List uploaded weights",
    {200: json_answer("One page.", Page[ModelWeights])},
    query=LIST_QUERY,
)
def show_all() -> Response:
    """List uploaded weights by their ids; `after` is the last id of the previous page."""
    store = service().volume.weights
    found, has_more = read_page("weights", store.ids(), store.find)
    items = [_report(info) for info in found]
    return json_response(Page[ModelWeights](object="list", data=items, has_more=has_more))


@operation(
    "showModel", "models", "Show uploaded weights", {200: json_answer("The weights.", ModelWeights)}, errors=(404,)
)
def show(weights_id: str) -> Response:
    """Show the size and the hash of uploaded weights."""
    no_query()
    info = find_weights(weights_id)
    if info is None:
        raise NotFound(_MISSING)
    return json_response(_report(info))


@operation(
    "deleteModel",
    "models",
    "Delete weights that no unfinished job and no running sweep uses",
    {204: Answer("Deleted.")},
    errors=(404, 409),
)
def delete(weights_id: str) -> tuple[str, int]:
    """Delete weights that no unfinished job and no running sweep uses: 204. Finished jobs keep their models."""
    no_query()
    return remove_unused(
        "weights",
        find_weights(weights_id),
        lambda job: weights_of(job.spec) == weights_id,
        service().volume.remove_weights,
        _MISSING,
    )


def _store(upload: WeightsUpload, weights_id: str, name: str | None) -> tuple[WeightsInfo, bool]:
    """Store the upload unless the id exists. Return the weights with the id, and whether this upload created them."""
    store = service().volume.weights
    known = store.find(weights_id)
    if known is not None:
        return known, False
    info = WeightsInfo(
        id=weights_id,
        project=caller().project,
        created_at=utc_now(),
        source_name=name,
        source_format=upload.format,
        sha256=upload.sha256,
        bytes=upload.bytes,
        data_sha256=upload.data_sha256,
    )
    store.make_folder()
    create_file(upload.folder / DOCUMENT, encode(info.model_dump(mode="json")))
    if store.publish(upload.folder, weights_id):
        return info, True
    existing = store.find(weights_id)
    if existing is None:
        raise unfinished_id(weights_id)
    return existing, False


def _source_name(text: str) -> str:
    if not (1 <= len(text) <= 256 and all(one.isascii() and (one.isalnum() or one in "._ -") for one in text)):
        raise ValueError("1 to 256 letters, digits, dots, spaces, underscores and hyphens")
    return text


def _report(info: WeightsInfo) -> ModelWeights:
    return take_fields(ModelWeights, info, object="model_weights")
