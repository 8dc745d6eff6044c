"""How the client sends requests and reads answers: errors, repeated posts, streams, and checked downloads."""

import hashlib
import os
import re
import weakref
import zipfile
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote
from uuid import uuid4

import httpx2

from fitstop.connection import Connection, find_connection
from fitstop.errors import Answered, Damaged, Unreachable, error_of

Json = dict[str, Any]

# Maximum wait for the next byte of an answer.
_SECONDS = 30.0


class Transport:
    """The connections to one service. `seconds`: maximum wait for a part of an answer."""

    def __init__(self, connection: Connection | None = None, *, seconds: float = _SECONDS) -> None:
        self.connection = connection or find_connection()
        key = self.connection.api_key
        self._http = httpx2.Client(
            base_url=self.connection.url,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx2.Timeout(seconds, connect=min(seconds, 5)),
            trust_env=not self.connection.is_local,
            event_hooks={"response": [self._look_at]},
        )
        self._volume_away = ""
        # Called with the service's message when the service works without its volume.
        self.on_volume_away: Callable[[str], object] = lambda _: None
        # A Run in a notebook is never closed.
        weakref.finalize(self, self._http.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _look_at(self, response: httpx2.Response) -> None:
        away = response.headers.get("Fitstop-Volume-Away", "")
        if away and not self._volume_away:
            self.on_volume_away(away)
        self._volume_away = away

    def _download(self, path: str, to: Path, sha256: str | None = None, *, is_zip: bool = False) -> None:
        beside = to.with_name(f".{to.name}.{os.getpid()}.part")
        digest, received = hashlib.sha256(), 0
        try:
            with self._stream(path) as response, beside.open("wb") as file:
                for piece in pieces_of(response):
                    digest.update(piece)
                    received += len(piece)
                    file.write(piece)
            check_download(response.headers, received, digest, sha256)
            if is_zip and not zipfile.is_zipfile(beside):
                raise Damaged(f"the download ({received} bytes) is not a zip file; try again")
            beside.replace(to)
        finally:
            beside.unlink(missing_ok=True)

    def _post_once(self, path: str, document: Json) -> Json:
        headers = {"Idempotency-Key": str(uuid4())}
        try:
            return self._json("POST", path, json=document, headers=headers)
        except Unreachable:
            return self._json("POST", path, json=document, headers=headers)

    def _request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        try:
            return self._http.request(method, path, **options)
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from error

    def _send(self, method: str, path: str, **options: Any) -> httpx2.Response:
        response = self._request(method, path, **options)
        if not response.is_success:
            raise error_of(response.status_code, _document(response))
        return response

    def _get(self, *place: str, **params: Any) -> Json:
        return self._json("GET", path_of(*place), params=params)

    def _json(self, method: str, path: str, *, params: Json | None = None, **options: Any) -> Json:
        """Send a request, and return the JSON of the answer. `params` that are None are left out."""
        given = {name: value for name, value in (params or {}).items() if value is not None}
        return self._document_of(self._send(method, path, params=given, **options))

    def _document_of(self, response: httpx2.Response) -> Json:
        document = _document(response)
        if not isinstance(document, dict):
            raise self._no_service()
        return document

    def _delete(self, path: str) -> None:
        if self._send("DELETE", path).status_code != httpx2.codes.NO_CONTENT:
            raise self._no_service()

    @contextmanager
    def _stream(self, path: str) -> Iterator[httpx2.Response]:
        try:
            with self._http.stream("GET", path) as response:
                if not response.is_success:
                    response.read()
                    raise error_of(response.status_code, _document(response))
                yield response
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from error

    def _no_service(self) -> Answered:
        return error_of(502, {"title": f"{self.connection.url} answers, but it is not a Fitstop service"})

    def _unreachable(self, error: httpx2.HTTPError) -> Unreachable:
        reason = str(error) or type(error).__name__
        return Unreachable(f"no answer from {self.connection.url} ({self.connection.source}): {reason}")


def path_of(*place: str) -> str:
    """The path of these names, such as `jobs`, an id, `events`."""
    return "".join(f"/{quote(part, safe='')}" for part in place)


def check_download(
    headers: httpx2.Headers, received: int, digest: "hashlib._Hash | None" = None, sha256: str | None = None
) -> None:
    """Raise Damaged if an answer does not match its headers or the `sha256` (hexadecimal).

    `received` is in bytes; `digest` is their SHA-256. The header Repr-Digest is that of RFC 9530.
    """
    announced = headers.get("Content-Length")
    if announced is not None and int(announced) != received:
        raise Damaged(f"the download has {received} bytes, expected {announced}; try again")
    if digest is None:
        return
    own = re.search(r"sha-256=:([A-Za-z0-9+/=]+):", headers.get("Repr-Digest", ""))
    wanted = {one for one in (sha256, b64decode(own[1]).hex() if own else None) if one is not None}
    if wanted - {digest.hexdigest()}:
        listed = " and ".join(sorted(wanted))
        raise Damaged(f"the download has the sha256 {digest.hexdigest()}, expected {listed}; try again")


def pieces_of(response: httpx2.Response) -> Iterator[bytes]:
    """The body in pieces."""
    yield from response.iter_bytes(64 * 1024)


def read_all(read_page: Callable[[Any], Json], after: Any, *, cursor: str = "id") -> Iterator[Json]:
    """Yield every item of a list, page by page.

    The next page starts after `next` of a page, or without `next` after the field `cursor` of its last item.
    """
    while True:
        page = read_page(after)
        yield from page["data"]
        if not page["has_more"] or not page["data"]:
            return
        after = page.get("next") or page["data"][-1][cursor]


def _document(response: httpx2.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None
