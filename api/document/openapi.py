"""GET /openapi.json and GET /schema/job.json: the API's description.

Built from the models that validate input, the shapes of the answers, and the route table; the only module that builds
OpenAPI documents. flask-openapi is not used: it reads malformed JSON as null, while `api.http.strict_json` reports the
error and its place.
"""

import inspect
import json
import re
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from flask import Flask, Response, current_app
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.auth.access import scope_of
from api.http.operation import ERRORS, JSON, PROBLEM, Answer, Operation, Schema, operation_of, text
from api.http.problems import ProblemDocument
from api.http.query import no_query
from api.shapes.sweeps import SWEEP_ID_PATTERN
from api.state.share_store import SHARE_ID_PATTERN
from api.state.webhook_store import WEBHOOK_ID_PATTERN
from shared.ids import DATASET_ID_PATTERN
from shared.spec import JobSpec

_REFERENCE = "#/components/schemas/{model}"
_KEPT = "fitstop_document"
_ALWAYS = (405, 422, 429, 500, 503)
_HEADERS = {
    "Accept-Ranges": "`bytes`.",
    "Content-Disposition": "File name.",
    "Content-Range": "Range of bytes and the total.",
    "ETag": "Version of the resource, for If-None-Match.",
    "Location": "Path of the resource.",
    "Repr-Digest": "SHA-256 of the whole file (RFC 9530).",
    "Upload-Complete": "Whether all bytes have arrived: `?0` or `?1`.",
    "Upload-Limit": "`max-age`: time without progress after which the upload is removed.",
    "Upload-Length": "Length of the file in bytes.",
    "Upload-Offset": "Number of bytes that have arrived.",
    "Retry-After": "Seconds to wait before the next request.",
}


_PATH_PARAMETERS: dict[str, Schema] = {
    "weights_id": text("Id of the weights, chosen at the upload.", pattern=DATASET_ID_PATTERN),
    "dataset_id": text("Id of the dataset, chosen at the upload.", pattern=DATASET_ID_PATTERN),
    "upload_id": text("Id of the upload, chosen by the client.", pattern=DATASET_ID_PATTERN),
    "program_id": text("Id of the program, chosen at the upload.", pattern=DATASET_ID_PATTERN),
    "job_id": text("Id of the job.", pattern=r"^job_[0-9A-HJKMNP-TV-Z]{26}$"),
    "sweep_id": text("Id of the sweep.", pattern=SWEEP_ID_PATTERN),
    "name": text("Name from the list of checkpoints.", minLength=1, maxLength=255, pattern="^[A-Za-z0-9._-]+$"),
    "path": text("Path from the list of files, with / between folders.", minLength=1, maxLength=4096),
    "webhook_id": text("Id of the webhook.", pattern=WEBHOOK_ID_PATTERN),
    "key_id": text("Id of the API key.", pattern="^[A-Za-z0-9_]{1,64}$"),
    "share_id": text("Id of the link.", pattern=SHARE_ID_PATTERN),
}
_SCHEMES = {
    "key": {"type": "http", "scheme": "bearer", "description": "An API key."},
    "share": {"type": "http", "scheme": "bearer", "description": "The token of a link to the job."},
}
_SECURITY: dict[str, list[Schema]] = {"public": [], "shared": [{"key": []}, {"share": []}]}


def show() -> Response:
    """OpenAPI 3.1 document of this API."""
    no_query()
    return Response(_text(current_app), content_type=JSON)


def show_job_schema() -> Response:
    """JSON schema of a job's spec: names, types, defaults and limits, for editors."""
    no_query()
    return Response(json.dumps(job_schema(), indent=1) + "\n", content_type="application/schema+json")


def job_schema() -> Schema:
    """JSON Schema 2020-12 of the body of POST /jobs, for a job without a program."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "/schema/job.json",
        **JobSpec.model_json_schema(),
    }


def document(app: Flask) -> Schema:
    """The whole document, from the route table."""
    table = [
        (method, rule, endpoint, operation_of(app.view_functions[endpoint])) for method, rule, endpoint in routes(app)
    ]
    operations = [one for *_, one in table]
    models = list(dict.fromkeys(_models(operations)))
    found, schemas = models_json_schema([(model, "validation") for model in models], ref_template=_REFERENCE)
    references = {model: reference for (model, _), reference in found.items()}
    paths: dict[str, Schema] = {}
    for method, rule, endpoint, operation in table:
        scope = scope_of(app, endpoint)
        entry = _operation(operation, references, scope, inspect.getdoc(app.view_functions[endpoint]) or "")
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule)
        parameters = [
            {"name": name, "in": "path", "required": True, "schema": _bare(_PATH_PARAMETERS[name]),
             "description": _PATH_PARAMETERS[name]["description"]}
            for name in re.findall(r"<(?:\w+:)?(\w+)>", rule)
        ]  # fmt: skip
        paths.setdefault(path, {"parameters": parameters} if parameters else {})[method.lower()] = entry
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Fitstop",
            "version": version("fitstop"),
            "summary": "A training service that stops a job when its validation metric no longer improves.",
            "description": "Epochs count from 1, except in training_log.csv, which is Keras's own and counts from 0.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in dict.fromkeys(one.tag for one in operations)],
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "responses": {_name(status): _problem(status, references) for status in ERRORS},
            "securitySchemes": _SCHEMES,
        },
    }


def routes(app: Flask) -> Iterator[tuple[str, str, str]]:
    """Method, rule and endpoint of every route, in the order of the route table."""
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield method, rule.rule, rule.endpoint


def _models(operations: list[Operation]) -> Iterator[type[BaseModel]]:
    yield ProblemDocument
    for operation in operations:
        contents = [operation.body, *(answer.content for answer in operation.answers.values())]
        yield from (model for content in contents for model in content.values() if isinstance(model, type))


def _operation(one: Operation, references: dict[Any, Schema], scope: str, description: str) -> Schema:
    entry: Schema = {
        "operationId": one.name,
        "tags": [one.tag],
        "summary": one.summary,
        "description": description,
        "parameters": [*_parameters("query", one.query), *_parameters("header", one.headers)],
        "responses": _responses(one, references, is_public=scope == "public"),
        "security": _SECURITY.get(scope, [{"key": []}]),
        "x-scope": "read" if scope == "shared" else scope,
    }
    if one.body:
        content = _content(one.body, references)
        first = next(iter(content.values()))
        content = {
            kind: {**media, **({"example": one.example} if media is first else {})} for kind, media in content.items()
        }
        entry["requestBody"] = {"required": True, "content": content}
    return entry


def _parameters(place: str, asked: dict[str, Schema]) -> list[Schema]:
    return [
        {"name": name, "in": place, "description": schema.get("description", ""), "schema": _bare(schema)}
        for name, schema in asked.items()
    ]


def _bare(schema: Schema) -> Schema:
    return {name: value for name, value in schema.items() if name != "description"}


def _responses(one: Operation, references: dict[Any, Schema], *, is_public: bool) -> Schema:
    answers = {str(status): _answer(answer, references) for status, answer in one.answers.items()}
    failures = {*one.errors, *_ALWAYS, *(() if is_public else (401, 403))}
    problems = {str(status): {"$ref": f"#/components/responses/{_name(status)}"} for status in sorted(failures)}
    return {**problems, **answers}


def _answer(answer: Answer, references: dict[Any, Schema]) -> Schema:
    entry: Schema = {"description": answer.description}
    if answer.content:
        entry["content"] = _content(answer.content, references)
    if answer.headers:
        entry["headers"] = {
            name: {"description": _HEADERS[name], "schema": {"type": "string"}} for name in answer.headers
        }
    if answer.links:
        entry["links"] = {
            name: {"operationId": operation, "parameters": parameters}
            for name, (operation, parameters) in answer.links.items()
        }
    return entry


def _content(content: dict[str, Any], references: dict[Any, Schema]) -> Schema:
    return {
        kind: {"schema": references[model] if isinstance(model, type) else model} for kind, model in content.items()
    }


def _problem(status: int, references: dict[Any, Schema]) -> Schema:
    return {"description": ERRORS[status], "content": {PROBLEM: {"schema": references[ProblemDocument]}}}


def _name(status: int) -> str:
    return f"Problem{status}"


def _text(app: Flask) -> str:
    """The document as JSON. It is built at the first request, so that the API starts faster."""
    if _KEPT not in app.extensions:
        app.extensions[_KEPT] = json.dumps(document(app), ensure_ascii=False) + "\n"
    return str(app.extensions[_KEPT])
