"""Uploads that resume after an interruption, by the IETF draft Resumable Uploads for HTTP.

The upload's id is a hash of what is sent, so a process that was killed and started again also resumes its upload.
"""

import hashlib
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx2

from fitstop.errors import Answered, NotFound, Unreachable, Unsendable
from fitstop.upload import Sendable, count_sent

# A smaller upload starts again after an interruption.
RESUMABLE_BYTES = 16 * 1024**2
# The first part is small, because its answer may refuse the file: a client that still sends cannot read an answer, and
# a proxy may forward a request only when it is complete.
_FIRST_PART_BYTES, _PART_BYTES = 64 * 1024, 32 * 1024**2

_UPLOADS = "uploads"
_MOST_PAUSE_SECONDS = 30.0
# After this time without a new byte the client gives up. The service keeps the upload for a day.
_PATIENCE_SECONDS = 600.0
# Another request uses the upload, such as one of a connection whose loss the service has not noticed.
_SOON_FREE = frozenset({"upload_in_use", "wrong_offset", "incomplete_upload", "incomplete_body", "too_slow"})
_SOON_ALLOWED = frozenset({"too_many_uploads", "too_many_requests"})
_PASSING = frozenset({502, 503, 504})

Json = dict[str, Any]
Send = Callable[..., httpx2.Response]


class ResumableUpload:
    """One upload to `place`, the path of a dataset. `params` are the query of PUT /datasets/{id}."""

    def __init__(
        self, send: Send, place: str, params: Mapping[str, Any], content: Sendable, timeout: httpx2.Timeout
    ) -> None:
        self._send = send
        self._dataset = place
        self._params = params
        self._content = content
        self._timeout = timeout
        own = "\n".join((content.fingerprint, str(content.size), repr(sorted(params.items()))))
        self._place = f"{place}/{_UPLOADS}/{hashlib.sha256(own.encode()).hexdigest()[:32]}"
        self._sha256 = ""

    def send(self, on_sent: Callable[[int, int], None] | None = None) -> Json:
        """Upload everything, and return the dataset.

        Raises what `put_dataset` raises, and Unreachable if no service answers at first, or after ten minutes without a
        new byte.
        """
        progress = _Progress()
        while True:
            try:
                return self._try(progress, on_sent)
            except (Unreachable, Answered) as error:
                if not _is_passing(error) or not progress.may_wait():
                    raise
                progress.wait()

    def _try(self, progress: "_Progress", on_sent: Callable[[int, int], None] | None) -> Json:
        if self._sha256 and (known := self._find_published()):
            return known
        begun = self._send("PUT", self._place, params=self._params, headers={"Upload-Length": str(self._content.size)})
        offset, size, reader = int(begun.json()["offset"]), self._content.size, _Reader(self._content.pieces())
        progress.reach(offset)
        for _ in reader.take(offset):
            pass
        while offset < size:
            length = min(_PART_BYTES if offset else _FIRST_PART_BYTES, size - offset)
            part = count_sent(reader.take(length), size, on_sent, offset)
            self._append(part, offset, {"Upload-Complete": "?0", "Content-Length": str(length)})
            offset += length
            progress.reach(offset)
        self._sha256 = reader.digest.hexdigest()
        digest = f"sha-256=:{b64encode(reader.digest.digest()).decode()}:"
        document: Json = self._append(b"", size, {"Upload-Complete": "?1", "Repr-Digest": digest}).json()
        return document

    def _append(self, part: Iterator[bytes] | bytes, offset: int, headers: dict[str, str]) -> httpx2.Response:
        headers = {"Content-Type": "application/partial-upload", "Upload-Offset": str(offset), **headers}
        return self._send("PATCH", self._place, content=part, headers=headers, timeout=self._timeout)

    def _find_published(self) -> Json | None:
        """The dataset, if it was created and only the answer was lost; else None."""
        try:
            known: Json = self._send("GET", self._dataset).json()
        except NotFound:
            return None
        return known if known.get("sha256") == self._sha256 else None


class _Progress:
    """How many bytes were uploaded, and since when there has been no progress."""

    def __init__(self) -> None:
        self._offset = -1
        self._since = time.monotonic()
        self._pause = 0.5

    def reach(self, offset: int) -> None:
        if offset > self._offset:
            self._offset, self._since, self._pause = offset, time.monotonic(), 0.5

    def may_wait(self) -> bool:
        """Whether to wait and try again. Not before the first answer, because there may be no service."""
        return self._offset >= 0 and time.monotonic() - self._since < _PATIENCE_SECONDS

    def wait(self) -> None:
        time.sleep(self._pause)
        self._pause = min(2 * self._pause, _MOST_PAUSE_SECONDS)


class _Reader:
    """Reads pieces by exact lengths; `digest` is the SHA-256 of what was read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""
        self.digest = hashlib.sha256()

    def take(self, length: int) -> Iterator[bytes]:
        """The next `length` bytes."""
        while length:
            piece = self._rest or next(self._pieces, None)
            if piece is None:
                raise Unsendable("the upload has fewer bytes than announced; try again")
            piece, self._rest = piece[:length], piece[length:]
            self.digest.update(piece)
            length -= len(piece)
            yield piece


def _is_passing(error: Unreachable | Answered) -> bool:
    if isinstance(error, Unreachable):
        return True
    return error.problem.code in _SOON_FREE | _SOON_ALLOWED or error.problem.status in _PASSING
