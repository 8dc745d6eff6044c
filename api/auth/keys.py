"""GET /keys, POST /keys, POST /keys/{id}/revoke: who may use the service. All of it needs the scope `admin`."""

from dataclasses import asdict
from typing import Annotated, Any

from flask import Response, jsonify
from pydantic import BaseModel, ConfigDict, Field

from api.auth.quotas import last_used
from api.http.answer import list_report
from api.http.query import no_query
from api.http.strict_json import read_object
from api.state.key_store import ENVIRONMENT_KEY_ID, KeyName, KnownKey, Scope
from api.state.service import service
from shared.problems import Conflict
from shared.times import time_in
from shared.validation import validated

_DAY_SECONDS = 86_400
_MOST_DAYS = 3650


class KeyRequest(BaseModel):
    """The body of POST /keys. Without `expires_in_days` the key lasts until it is revoked."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    name: KeyName
    scope: Scope = "write"
    expires_in_days: Annotated[int, Field(ge=1, le=_MOST_DAYS)] | None = None


def create() -> tuple[Response, int]:
    """Create an API key. Only this answer contains its secret."""
    no_query()
    settings = service().settings
    asked = validated(KeyRequest, read_object(settings.max_job_bytes, settings.max_json_depth))
    expires_at = time_in(asked.expires_in_days * _DAY_SECONDS) if asked.expires_in_days else None
    known, key = service().keys.create(asked.name, asked.scope, expires_at)
    return jsonify({**key_report(known), "key": key}), 201


def show_all() -> Response:
    """List the API keys, newest first, including expired and revoked ones."""
    no_query()
    used = last_used()
    reports = [{**key_report(known), "last_used_at": used.get(known.id)} for known in service().keys.all()]
    return jsonify(list_report(reports, has_more=False))


def revoke(key_id: str) -> Response:
    """Revoke an API key permanently. Repeating it changes nothing."""
    no_query()
    if key_id == ENVIRONMENT_KEY_ID:
        raise Conflict("this key is the variable FITSTOP_ADMIN_KEY of the API: remove it there and restart the API")
    return jsonify(key_report(service().keys.revoke(key_id)))


def key_report(known: KnownKey) -> dict[str, Any]:
    """One key as a client sees it."""
    return {"object": "key", "status": known.status, **asdict(known)}
