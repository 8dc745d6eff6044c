"""One try of one delivery: signed according to Standard Webhooks, or sent by Apprise in a child process.

It ends within SECONDS, follows no redirect, and reads only the status of the answer.
"""

import asyncio
import json
from datetime import UTC, datetime

import httpx2
from standardwebhooks import Webhook

from api.state.deliveries import Delivery
from api.state.incoming import parser_environment
from api.state.webhook_store import WebhookRecord
from api.webhooks.address import APPRISE_COMMAND
from api.webhooks.guard import RefusedAddress

SECONDS = 20.0

_AGENT = "Fitstop-Webhooks"
_MOST_REASON = 200
_WORDS: dict[str, str] = {
    "job.succeeded": "succeeded",
    "job.failed": "failed",
    "job.cancelled": "was cancelled",
    "job.early_stopping": "stopped early",
    "job.worker_lost": "lost its worker",
    "job.budget_nearly_used": "has nearly used up its budget",
    "sweep.best": "has a new best trial",
    "sweep.finished": "has ended",
}

Outcome = tuple[int | None, str | None]
"""The HTTP status of the answer (None: no answer), and the error (None: delivered)."""


def open_client() -> httpx2.AsyncClient:
    """The client for all tries. Each try opens a new connection, so that each address is checked. It uses no proxy."""
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
    return httpx2.AsyncClient(trust_env=False, timeout=None, limits=limits, follow_redirects=False)


async def try_once(client: httpx2.AsyncClient, webhook: WebhookRecord, delivery: Delivery, networks: str) -> Outcome:
    """Send the delivery. Errors of the address or the receiver are returned, not raised."""
    try:
        async with asyncio.timeout(SECONDS):
            if webhook.kind == "apprise":
                return await _send_by_apprise(webhook, delivery, networks)
            return await _post(client, webhook, delivery)
    except TimeoutError:
        return None, f"no answer within {SECONDS:g} s"
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
        return None, _reason(error)


async def _post(client: httpx2.AsyncClient, webhook: WebhookRecord, delivery: Delivery) -> Outcome:
    assert webhook.secret is not None
    text = json.dumps(delivery.body, ensure_ascii=False, separators=(",", ":"))
    moment = datetime.now(UTC)
    headers = {
        "content-type": "application/json",
        "user-agent": _AGENT,
        "webhook-id": delivery.id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(webhook.secret.get_secret_value()).sign(delivery.id, moment, text),
    }
    address = webhook.address.get_secret_value()
    async with client.stream("POST", address, content=text.encode(), headers=headers) as response:
        status = response.status_code
    if response.is_success:
        return status, None
    return status, f"answered {status}" + ("; redirects are not followed" if response.is_redirect else "")


async def _send_by_apprise(webhook: WebhookRecord, delivery: Delivery, networks: str) -> Outcome:
    order = {"address": webhook.address.get_secret_value(), "networks": networks, **_message(delivery)}
    child = await asyncio.create_subprocess_exec(
        *APPRISE_COMMAND,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=parser_environment(),
    )
    try:
        output, _ = await child.communicate(json.dumps(order).encode())
    finally:
        if child.returncode is None:
            child.kill()
    answer = json.loads(output)
    return None, None if answer["ok"] else str(answer.get("error", "Apprise could not deliver it"))


def _message(delivery: Delivery) -> dict[str, str]:
    data = delivery.body["data"]
    if delivery.job is None:
        return {"title": "Fitstop: test", "body": data["message"]}
    return {"title": f"{data['name']} {_WORDS[delivery.type]}", "body": f"{data['message']}\n{data['id']}"}


def test_body(webhook: WebhookRecord, at: str) -> dict[str, object]:
    """The body of a test."""
    data = {"id": webhook.id, "name": webhook.name, "project": webhook.project, "message": "This is a test."}
    return {"type": "test", "timestamp": at, "data": data}


def _reason(error: BaseException) -> str:
    """The error without the address, which may contain a secret."""
    refused = _find_refused(error)
    if refused is not None:
        return str(refused)
    if isinstance(error, httpx2.ConnectError):
        return f"could not connect: {error}"[:_MOST_REASON]
    return f"{type(error).__name__}"


def _find_refused(error: BaseException | None) -> RefusedAddress | None:
    """The RefusedAddress in a chain of exceptions and exception groups, or None."""
    if error is None or isinstance(error, RefusedAddress):
        return error
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    found = (_find_refused(one) for one in (*inner, error.__cause__, error.__context__))
    return next((one for one in found if one is not None), None)
