"""The application for gunicorn's event loop: the loop waits for clients, and a thread gets a whole request.

a2wsgi and asgiref do not serve: the one takes a torn chunked upload for a whole one and keeps a thread for each client
that reads or writes slowly, the other writes every body to the disk before a key was shown.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from flask import Flask
from ulid import ULID

from api.auth.access import SIGN_IN
from api.http.body import PIECE_SECONDS
from api.serving.connection import problem
from api.serving.strangers import Strangers
from api.state.changes import LOOK_SECONDS

_ALIVE = "/healthz"
# A body up to this size is received before a thread sees its request. A larger one is read while the view runs.
_SMALL_BODY_BYTES = 64 * 1024
_SMALL_BODY_SECONDS = 10.0
# An answer up to this size leaves its thread in one piece.
_WHOLE_ANSWER_BYTES = 1024 * 1024

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Application:
    """`app` by the ASGI protocol, with `threads` threads for requests.

    A thread is held while `app` computes, and while it reads a large body. An answer is asked for piece by piece, each
    after the client took the one before. An empty piece means that there is nothing yet (PEP 3333): the next one is
    asked for `LOOK_SECONDS` later, and none where the client has left.

    A client that shows no valid key waits for one of few threads, gets one answer on a connection, and no body of it is
    read but that of a log-in. `GET /healthz` is answered on the event loop: it reads nothing and waits for nobody.
    """

    def __init__(self, app: Flask, threads: int, strangers: Strangers) -> None:
        self.app = app
        self.strangers = strangers
        self._threads = ThreadPoolExecutor(threads, "request")

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        client = _Client(receive)
        environ = _environ(scope, client)
        is_stranger = await self.strangers.include(environ)
        threads = self._choose_threads(environ, is_stranger=is_stranger)
        if threads is None:
            await _refuse(send)
            return
        if not is_stranger:
            self.strangers.trust(scope["client"])
        if _has_small_body(environ, is_stranger=is_stranger):
            await client.fill(sys.maxsize, _SMALL_BODY_SECONDS)
        await self._answer(environ, client, send, threads)

    async def _answer(self, environ: dict[str, Any], client: "_Client", send: Send, threads: Executor) -> None:
        answer = _Answer(self.app, environ)
        step: Future[Any] = threads.submit(answer.begin)
        try:
            head, body = await asyncio.wrap_future(step)
            if not client.has_sent_all:
                head["headers"].append((b"connection", b"close"))
            await send(head)
            while body is None:
                step = threads.submit(answer.next)
                piece = await asyncio.wrap_future(step)
                if piece is None or (not piece and await client.has_left_within(LOOK_SECONDS)):
                    body = b""
                elif piece:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": body})
        finally:
            client.forget()
            # After the step: gunicorn cancels us where the client is gone, while the thread may be in the middle of it.
            if not answer.is_closed:
                step.add_done_callback(lambda _: threads.submit(answer.close))

    def _choose_threads(self, environ: dict[str, Any], *, is_stranger: bool) -> Executor | None:
        """What answers a request; None for a stranger's that is one too many."""
        if environ["PATH_INFO"] == _ALIVE:
            return _HERE
        if not is_stranger:
            return self._threads
        return self.strangers.threads if self.strangers.admit(environ) else None


class _Here(Executor):
    """Not a thread, but the event loop itself."""

    def submit(self, work: Callable[[], Any], /) -> Future[Any]:  # type: ignore[override]
        future: Future[Any] = Future()
        future.set_result(work())
        return future


_HERE = _Here()


async def _refuse(send: Send) -> None:
    """Answer one request too many, without a thread."""
    headers, content = problem(HTTPStatus.TOO_MANY_REQUESTS, f"req_{ULID()}")
    encoded = [(name.lower().encode(), value.encode()) for name, value in (*headers.items(), ("Retry-After", "1"))]
    await send({"type": "http.response.start", "status": HTTPStatus.TOO_MANY_REQUESTS.value, "headers": encoded})
    await send({"type": "http.response.body", "body": content})


def _has_small_body(environ: dict[str, Any], *, is_stranger: bool) -> bool:
    """Whether the event loop waits for the body, or for its absence, before a thread sees the request."""
    if "HTTP_TRANSFER_ENCODING" in environ:
        return False
    is_wanted = not is_stranger or environ["PATH_INFO"] == SIGN_IN
    return int(environ.get("CONTENT_LENGTH", 0)) <= (_SMALL_BODY_BYTES if is_wanted else 0)


class _Client:
    """What a client sends after the head, as `wsgi.input`, and whether it has left."""

    def __init__(self, receive: Receive) -> None:
        self.has_sent_all = False
        self._receive = receive
        self._loop = asyncio.get_running_loop()
        self._received = bytearray()
        self._error: Exception | None = None
        self._leaving: asyncio.Task[None] | None = None

    async def fill(self, size: int, seconds: float) -> None:
        """Receive until `size` bytes or all of the body are here; `read` raises what goes wrong."""
        try:
            async with asyncio.timeout(seconds):
                while len(self._received) < size and not self.has_sent_all:
                    message = await self._receive()
                    if message["type"] == "http.disconnect":
                        raise ConnectionError("the client left before the end of its body")
                    self._received += message["body"]
                    self.has_sent_all = not message["more_body"]
        except (TimeoutError, ConnectionError) as error:
            self._error = error

    def read(self, size: int = -1) -> bytes:
        """Read from a thread. Raises TimeoutError for a slow client, ConnectionError for one that left."""
        size = sys.maxsize if size < 0 else size
        if len(self._received) < size and not self.has_sent_all and self._error is None:
            asyncio.run_coroutine_threadsafe(self.fill(size, PIECE_SECONDS), self._loop).result()
        if self._error is not None:
            raise self._error
        piece = bytes(self._received[:size])
        del self._received[:size]
        return piece

    async def has_left_within(self, seconds: float) -> bool:
        """Wait for `seconds`, or until the client leaves: True if it left. The rest of its body is dropped."""
        self._leaving = self._leaving or asyncio.create_task(self._leave())
        done, _ = await asyncio.wait({self._leaving}, timeout=seconds)
        return bool(done)

    def leaves_within(self, seconds: float) -> bool:
        """`has_left_within` for a thread."""
        return asyncio.run_coroutine_threadsafe(self.has_left_within(seconds), self._loop).result()

    async def _leave(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def forget(self) -> None:
        """End with the request."""
        if self._leaving is not None:
            self._leaving.cancel()


class _Answer:
    """The application's answer to one request. Its methods run in threads, one after the other."""

    def __init__(self, app: Flask, environ: dict[str, Any]) -> None:
        self.is_closed = False
        self._app = app
        self._environ = environ
        self._head: tuple[str, list[tuple[str, str]]] = ("", [])
        self._result: Iterable[bytes] = ()

    def begin(self) -> tuple[dict[str, Any], bytes | None]:
        """The head of the answer, and its body where that is small."""
        self._result = self._app.wsgi_app(self._environ, self._start)  # type: ignore[arg-type]
        status, headers = self._head
        encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        head = {"type": "http.response.start", "status": int(status[:3]), "headers": encoded}
        length = next((int(value) for name, value in headers if name.lower() == "content-length"), None)
        if length is None or length > _WHOLE_ANSWER_BYTES:
            self._pieces = iter(self._result)
            return head, None
        body = b"".join(self._result)
        self.close()
        return head, body

    def next(self) -> bytes | None:
        """The next piece of the body; None after the last one."""
        return next(self._pieces, None)

    def close(self) -> None:
        """Give back what the answer holds."""
        self.is_closed = True
        if hasattr(self._result, "close"):
            self._result.close()

    def _start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:  # noqa: ARG002
        self._head = status, headers


def _environ(scope: dict[str, Any], client: _Client) -> dict[str, Any]:
    """The request by PEP 3333."""
    path: bytes = scope["raw_path"]
    if path.startswith(b"http"):
        path = urlsplit(path).path or b"/"
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": scope["server"][0],
        "SERVER_PORT": str(scope["server"][1]),
        "REMOTE_ADDR": scope["client"][0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": client,
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "fitstop.leaves_within": client.leaves_within,
    }
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").upper().replace("-", "_"), raw_value.decode("latin-1")
        key = name if name in {"CONTENT_LENGTH", "CONTENT_TYPE"} else f"HTTP_{name}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ
