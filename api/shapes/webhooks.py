"""Webhooks and their deliveries."""

from typing import Annotated, Literal

from pydantic import Field

from api.shapes.base import Count, JobId, Page, Shape, Time
from api.shapes.sweeps import SweepId
from api.state.deliveries import DeliveryStatus
from api.state.webhook_store import WEBHOOK_ID_PATTERN, EventType, WebhookKind


class Webhook(Shape):
    """Webhook or Apprise address, and the events that it gets."""

    object: Literal["webhook"]
    id: Annotated[str, Field(pattern=WEBHOOK_ID_PATTERN)]
    project: str
    kind: WebhookKind
    name: str | None
    address: Annotated[str, Field(description="Address without its secrets")]
    events: list[EventType]
    job_name: str | None
    metadata: dict[str, str]
    created_at: Time


class WebhookPage(Page[Webhook]):
    """Webhooks. If no sender runs (`has_sender`), nothing is sent."""

    has_sender: bool


class NewWebhook(Webhook):
    """New webhook. The `secret` is in this answer only; an Apprise address has none."""

    secret: str | None


class WebhookDelivery(Shape):
    """Delivery of one event, of a `job` or a `sweep`; both are null for a test.

    `answer` is the HTTP status of the last try, null without an answer. `error` is the reason why that try failed.
    """

    object: Literal["delivery"]
    id: str
    type: str
    job: JobId | None
    sweep: SweepId | None
    status: DeliveryStatus
    created_at: Time
    tries: Count
    last_try_at: Time | None
    next_try_at: Time | None
    answer: int | None
    error: str | None


class WebhookDetail(Webhook):
    """Webhook and its last deliveries, newest first."""

    deliveries: list[WebhookDelivery]
