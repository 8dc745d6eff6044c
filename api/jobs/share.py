"""POST and GET /jobs/{id}/shares, DELETE /jobs/{id}/shares/{id}: links that show one job to people without a key."""

from typing import Annotated

from flask import Response
from pydantic import BaseModel, ConfigDict, Field

from api.auth.access import caller
from api.auth.projects import find_job
from api.http.answer import json_response
from api.http.operation import BODY_ERRORS, JSON, Answer, json_answer, operation
from api.http.query import no_query
from api.http.strict_json import SMALL_BODY_BYTES, read_object
from api.jobs.find import state_of
from api.shapes.base import Page, take_fields
from api.shapes.shares import NewShare, Share
from api.state.service import service
from shared.problems import Conflict, NotFound
from shared.times import time_in
from shared.validation import validate

MOST_OF_A_JOB = 20

_DAY_SECONDS = 86_400
_MOST_DAYS = 3650
_LINKS = {"revokeShare": ("revokeShare", {"job_id": "$response.body#/job", "share_id": "$response.body#/id"})}


class ShareRequest(BaseModel):
    """The body of POST /jobs/{id}/shares. Without `expires_in_days` the link lasts as long as the key that made it."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    expires_in_days: Annotated[int, Field(ge=1, le=_MOST_DAYS)] | None = None


@operation(
    "shareJob",
    "jobs",
    "Create a link that shows one job",
    {201: json_answer("The only answer with the token.", NewShare, links=_LINKS)},
    body={JSON: ShareRequest},
    example={"expires_in_days": 30},
    errors=(*BODY_ERRORS, 404, 409, 507),
)
def create(job_id: str) -> Response:
    """Create a link to the page of this job, for people without a key.

    Its token can read only this job: state, curves, events, system metrics, evaluation, forecast and the list of its
    checkpoints. It cannot read output, files and models, and cannot change anything.
    """
    no_query()
    folder = find_job(job_id)
    asked = validate(ShareRequest, read_object(SMALL_BODY_BYTES, service().settings.max_json_depth))
    if len(service().shares.of_job(job_id)) >= MOST_OF_A_JOB:
        raise Conflict(f"the job has {MOST_OF_A_JOB} links, the maximum; revoke one first")
    key = service().keys.of_id(caller().key_id)
    assert key is not None, "the caller has a key"
    expires_at = time_in(asked.expires_in_days * _DAY_SECONDS) if asked.expires_in_days else None
    record, token = service().shares.create(job_id, state_of(folder).record.project, key, expires_at)
    url = f"/page/shared/{job_id}#{token}"
    return json_response(take_fields(NewShare, record, object="share", token=token, url=url), 201)


@operation(
    "listShares", "jobs", "List the links to a job", {200: json_answer("The links.", Page[Share])}, errors=(404,)
)
def show_all(job_id: str) -> Response:
    """List the links that show a job, newest first, without those that have expired or were revoked."""
    no_query()
    found = service().shares.of_job(find_job(job_id).id)
    data = [take_fields(Share, one, object="share") for one in found]
    return json_response(Page[Share](object="list", data=data, has_more=False))


@operation("revokeShare", "jobs", "Revoke a link to a job", {204: Answer("Revoked.")}, errors=(404,))
def revoke(job_id: str, share_id: str) -> tuple[str, int]:
    """Revoke a link: 204. It stops working at once."""
    no_query()
    if not service().shares.revoke(find_job(job_id).id, share_id):
        raise NotFound("there is no link with this id")
    return "", 204
