"""GET /keys, POST /keys, POST /keys/{id}/revoke: the API keys. All three need the scope `admin`."""

from dataclasses import asdict
from typing import Annotated, Any

from flask import Response
from pydantic import BaseModel, ConfigDict, Field

from api.auth.quotas import last_used
from api.http.answer import json_response
from api.http.operation import BODY_ERRORS, JSON, json_answer, operation
from api.http.query import no_query
from api.http.strict_json import SMALL_BODY_BYTES, read_object
from api.shapes.base import Page
from api.shapes.service import Key, ListedKey, NewKey
from api.state.key_store import ENVIRONMENT_KEY_ID, KeyName, KnownKey, Scope
from api.state.service import service
from shared.problems import Conflict
from shared.project import DEFAULT_PROJECT, ProjectName
from shared.times import time_in
from shared.validation import validate

_DAY_SECONDS = 86_400
_MOST_DAYS = 3650


class KeyRequest(BaseModel):
    """The body of POST /keys. Without `expires_in_days` the key lasts until it is revoked."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    name: KeyName
    scope: Scope = "write"
    project: ProjectName = DEFAULT_PROJECT
    expires_in_days: Annotated[int, Field(ge=1, le=_MOST_DAYS)] | None = None


@operation(
    "createKey",
    "keys",
    "Create an API key",
    {
        201: json_answer(
            "The only answer with the secret.",
            NewKey,
            links={"revokeKey": ("revokeKey", {"key_id": "$response.body#/id"})},
        )
    },
    body={JSON: KeyRequest},
    example={"name": "ci", "scope": "write", "project": "vision", "expires_in_days": 90},
    errors=(*BODY_ERRORS, 507),
)
def create() -> Response:
    """Create an API key. Only this answer contains its secret."""
    no_query()
    asked = validate(KeyRequest, read_object(SMALL_BODY_BYTES, service().settings.max_json_depth))
    expires_at = time_in(asked.expires_in_days * _DAY_SECONDS) if asked.expires_in_days else None
    known, key = service().keys.create(asked.name, asked.scope, expires_at, asked.project)
    return json_response(NewKey(**_facts(known), key=key), 201)


@operation("listKeys", "keys", "List the API keys", {200: json_answer("The complete list.", Page[ListedKey])})
def show_all() -> Response:
    """List the API keys, newest first, including expired and revoked ones."""
    no_query()
    used = last_used()
    keys = [ListedKey(**_facts(known), last_used_at=used.get(known.id)) for known in service().keys.all()]
    return json_response(Page[ListedKey](object="list", data=keys, has_more=False))


@operation(
    "revokeKey", "keys", "Revoke an API key", {200: json_answer("The revoked key.", Key)}, errors=(404, 409, 507)
)
def revoke(key_id: str) -> Response:
    """Revoke an API key permanently. Repeating it changes nothing."""
    no_query()
    if key_id == ENVIRONMENT_KEY_ID:
        raise Conflict("this key is the variable FITSTOP_ADMIN_KEY of the API: remove it there and restart the API")
    return json_response(Key(**_facts(service().keys.revoke(key_id))))


def _facts(known: KnownKey) -> dict[str, Any]:
    """The fields of `shapes.Key`."""
    return {"object": "key", "status": known.status, **asdict(known)}
