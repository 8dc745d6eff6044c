"""POST, GET and DELETE /webhooks, GET /webhooks/{id}, POST /webhooks/{id}/test: notifications of a project's jobs."""

import base64
import secrets
from typing import Annotated, Any

from flask import Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from api.auth.access import caller
from api.auth.projects import PROJECT, find_webhook, read_project
from api.http.answer import json_response
from api.http.operation import BODY_ERRORS, JSON, Answer, json_answer, operation
from api.http.query import Query, no_query
from api.http.strict_json import SMALL_BODY_BYTES, read_object
from api.shapes.base import take_fields
from api.shapes.webhooks import NewWebhook, Webhook, WebhookDelivery, WebhookDetail, WebhookPage
from api.state.deliveries import Delivery, last_deliveries
from api.state.key_store import KeyName
from api.state.service import service
from api.state.webhook_store import EventType, WebhookRecord, new_webhook_id, volume_now
from api.webhooks.address import read_address
from shared.ids import is_sweep_id
from shared.networks import parse_networks
from shared.problems import Conflict, NotFound
from shared.spec import Text
from shared.times import utc_now
from shared.validation import validate

MOST_OF_A_PROJECT = 100

_SECRET_BYTES = 32
_LINKS = {
    name: (name, {"webhook_id": "$response.body#/id"}) for name in ("showWebhook", "testWebhook", "deleteWebhook")
}


class WebhookRequest(BaseModel):
    """The body of POST /webhooks."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    address: Annotated[Text, Field(min_length=1, max_length=2048)]
    """Address to notify: https, or one of Apprise, such as mailto:// or slack://."""
    events: Annotated[tuple[EventType, ...], Field(min_length=1, max_length=16, strict=False)]
    """Events to send."""
    name: KeyName | None = None
    """Display name."""
    job_name: Annotated[Text, Field(min_length=1, max_length=128)] | None = None
    """Only jobs and sweeps with this name."""
    metadata: dict[Annotated[Text, Field(min_length=1, max_length=64)], Annotated[Text, Field(max_length=512)]] = Field(
        default_factory=dict, max_length=16
    )
    """Only jobs with these values in their metadata, and sweeps of such jobs."""


@operation(
    "createWebhook",
    "webhooks",
    "Create a webhook",
    {201: json_answer("The only answer with the secret.", NewWebhook, headers=("Location",), links=_LINKS)},
    body={JSON: WebhookRequest},
    example={"address": "https://example.com/fitstop", "events": ["job.succeeded", "job.failed"]},
    errors=(*BODY_ERRORS, 409, 507),
)
def create() -> tuple[Response, int, dict[str, str]]:
    """Send events of this project's jobs and sweeps to an address, from now on.

    An https address gets Standard Webhooks, signed with the secret that only this answer contains. Other addresses are
    used by Apprise. Private, loopback and link-local addresses are refused when a delivery connects, unless
    FITSTOP_WEBHOOK_NETWORKS allows them.
    """
    no_query()
    asked = validate(WebhookRequest, read_object(SMALL_BODY_BYTES, service().settings.max_json_depth))
    _check_count(caller().project)
    kind, shown = read_address(asked.address, parse_networks(service().settings.webhook_networks))
    secret = _new_secret() if kind == "webhook" else None
    record = WebhookRecord(
        id=new_webhook_id(),
        project=caller().project,
        kind=kind,
        name=asked.name,
        address=SecretStr(asked.address),
        shown=shown,
        events=tuple(dict.fromkeys(asked.events)),
        job_name=asked.job_name,
        metadata=asked.metadata,
        secret=None if secret is None else SecretStr(secret),
        created_at=utc_now(),
        since_ns=volume_now(service().volume),
    )
    service().webhooks.create(record)
    return json_response(NewWebhook(**_facts(record), secret=secret)), 201, {"Location": f"/webhooks/{record.id}"}


@operation(
    "listWebhooks",
    "webhooks",
    "List the webhooks",
    {200: json_answer("The complete list.", WebhookPage)},
    query={"project": PROJECT},
)
def show_all() -> Response:
    """List the webhooks, newest first."""
    with Query("project") as query:
        project = read_project(query)
    own = [Webhook(**_facts(one)) for one in service().webhooks.all() if project in {None, one.project}]
    has_sender = service().webhooks.has_sender()
    return json_response(WebhookPage(object="list", data=own, has_more=False, has_sender=has_sender))


@operation(
    "showWebhook", "webhooks", "Show a webhook", {200: json_answer("The webhook.", WebhookDetail)}, errors=(404,)
)
def show(webhook_id: str) -> Response:
    """Show a webhook and its last 50 deliveries."""
    no_query()
    record = find_webhook(webhook_id)
    waiting = [_waiting_test(one.id, one.requested_at) for one in service().webhooks.tests(webhook_id)]
    sent = [_report(one) for one in last_deliveries(service().webhooks.place(webhook_id))]
    return json_response(WebhookDetail(**_facts(record), deliveries=[*reversed(waiting), *sent]))


@operation("deleteWebhook", "webhooks", "Delete a webhook", {204: Answer("Deleted.")}, errors=(404,))
def delete(webhook_id: str) -> tuple[str, int]:
    """Delete a webhook, with its pending deliveries: 204."""
    no_query()
    if not service().webhooks.delete(find_webhook(webhook_id).id):
        raise NotFound("there is no webhook with this id")
    return "", 204


@operation(
    "testWebhook",
    "webhooks",
    "Send a test",
    {202: json_answer("The delivery, which is sent within seconds.", WebhookDelivery)},
    errors=(404, 409, 507),
)
def test(webhook_id: str) -> Response:
    """Send a message of type `test`. GET /webhooks/{id} shows whether it was delivered."""
    no_query()
    asked = service().webhooks.request_test(find_webhook(webhook_id).id)
    return json_response(_waiting_test(asked.id, asked.requested_at), 202)


def _check_count(project: str) -> None:
    if sum(one.project == project for one in service().webhooks.all()) >= MOST_OF_A_PROJECT:
        raise Conflict(f"the project has {MOST_OF_A_PROJECT} webhooks, the maximum; delete some first")


def _new_secret() -> str:
    """A secret in the format of the specification: `whsec_` and 32 random bytes in base64."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def _facts(record: WebhookRecord) -> dict[str, Any]:
    """The fields of `shapes.Webhook`."""
    shown = record.model_dump(include={"id", "project", "kind", "name", "job_name", "metadata", "created_at"})
    return {"object": "webhook", "address": record.shown, "events": list(record.events), **shown}


def _waiting_test(test_id: str, at: str) -> WebhookDelivery:
    return _report(Delivery(id=test_id, type="test", job=None, body={}, created_at=at))


def _report(delivery: Delivery) -> WebhookDelivery:
    subject = delivery.job
    is_sweep = subject is not None and is_sweep_id(subject)
    return take_fields(
        WebhookDelivery,
        delivery,
        object="delivery",
        job=None if is_sweep else subject,
        sweep=subject if is_sweep else None,
    )
