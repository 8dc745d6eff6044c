"""Puts webhooks into a state folder as the API does; a receiver that checks signatures."""

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pydantic import SecretStr
from standardwebhooks import Webhook

from api.state.webhook_store import EVENT_TYPES, EventType, WebhookKind, WebhookRecord, WebhookStore, new_webhook_id
from shared.project import DEFAULT_PROJECT
from shared.times import utc_now

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def put_webhook(
    store: WebhookStore,
    project: str = DEFAULT_PROJECT,
    address: str = "https://example.com/hook",
    events: tuple[EventType, ...] = EVENT_TYPES,
    kind: WebhookKind = "webhook",
    since_ns: int = 0,
    **more: Any,
) -> WebhookRecord:
    """Store a webhook."""
    record = WebhookRecord(
        id=new_webhook_id(), project=project, kind=kind, name=None, address=SecretStr(address), shown="https://…",
        events=events, secret=SecretStr(SECRET), created_at=utc_now(), since_ns=since_ns, **more,
    )  # fmt: skip
    store.create(record)
    return record


class Receiver:
    """A server on a free port. `answer` returns the status for the number of a request; None hangs up.

    `accepted`: the messages answered with 2xx, in order. The library checks each signature.
    """

    def __init__(self, answer: Callable[[int], int | None] = lambda _: 204, secret: str = SECRET) -> None:
        self.answer = answer
        self.secret = secret
        self.received: list[dict[str, Any]] = []
        self.accepted: list[dict[str, Any]] = []
        self.bad_signatures = 0
        self.let_go = threading.Event()
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver._take(self)

            def log_message(self, *_: Any) -> None:
                """Log nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *_: Any) -> None:
                """Ignore errors: a killed sender closes its connection."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.let_go.set()
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> "Receiver":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def types(self) -> list[str]:
        return [one["type"] for one in self.accepted]

    def count_messages(self) -> int:
        """Count the different messages that it accepted; a sender that was stopped may repeat one."""
        return len({one["webhook-id"] for one in self.accepted})

    def _take(self, request: BaseHTTPRequestHandler) -> None:
        content = request.rfile.read(int(request.headers["content-length"]))
        headers = {name.lower(): value for name, value in request.headers.items()}
        document = {**json.loads(content), "webhook-id": headers.get("webhook-id"), "at": time.monotonic()}
        with self._lock:
            try:
                Webhook(self.secret).verify(content, headers)
            except Exception:
                self.bad_signatures += 1
            number = len(self.received)
            self.received.append(document)
        status = self.answer(number)
        if status is None:
            self.let_go.wait(120)
            return
        with self._lock:
            if 200 <= status < 300:
                self.accepted.append(document)
        request.send_response(status)
        if 300 <= status < 400:
            request.send_header("Location", self.url)
        request.send_header("Content-Length", "0")
        request.end_headers()
