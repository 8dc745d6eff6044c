"""A store in a bucket of S3 or a compatible server, through obstore.

A request whose answer was lost is repeated. An exclusive create carries a token in the object's metadata: if the object
already exists, its token tells whether it is our own. Objects appear whole, large ones at the end of a multipart
upload.
"""

import copy
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    GenericError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import S3Store

from shared.plain_files import MOST_DOCUMENT_BYTES, UnusableDocument
from shared.store.interface import AccessDenied, Entry, FileChanged, NoAnswer, StoreError
from shared.store.keys import key_of, name_of

if TYPE_CHECKING:
    # Types that obstore has only for type checkers.
    from obstore import GetOptions
    from obstore.store import ClientConfig, RetryConfig, S3Config

# Up to this size a request carries no more than a document, and fails soon if the bucket does not respond: a post, a
# claim or a heartbeat waits for it. A larger one may take as long as a slow connection needs for one part.
SMALL_BYTES = 256 * 1024
_SMALL_SECONDS, _LARGE_SECONDS = 5, 120
# Size of a part of a multipart upload. S3 accepts 10,000 parts, so a file may have 80 GB.
PART_BYTES = 8 * 1024**2
# Concurrent parts of one upload; a copy has several uploads.
_PARTS_AT_ONCE = 2
_MOST_UNANSWERED = 1000
_TOKEN = "fitstop-token"  # noqa: S105  the name of a field
# The code in S3's XML answer. Nothing else of it is shown, since it may repeat what was sent.
_CODE = re.compile("<Code>([A-Za-z]+)</Code>")
_STATUS = re.compile("status code: ([0-9]{3} [A-Za-z ]+)")
# What an S3 server says, or obstore of its answer, if the bucket is in another region.
_ELSEWHERE = re.compile("PermanentRedirect|AuthorizationHeaderMalformed|incorrectly configured region")
_DENIED = frozenset({"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"})


class BucketStore:
    """The objects of `bucket` whose keys begin with `prefix` and a slash; all objects if the prefix is empty.

    `access` has the settings of obstore's S3Store, and `proxy` those of its connections; `retries` says how often and
    how long a request is repeated.
    """

    keeps_times = False

    def __init__(
        self,
        bucket: str,
        prefix: str,
        access: Mapping[str, str],
        retries: "RetryConfig | None" = None,
        proxy: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.place = f"s3://{bucket}/{prefix}".rstrip("/")
        self._prefix = prefix
        self._host = access.get("endpoint") or "Amazon S3"
        self._proxy = proxy
        self._unanswered: dict[tuple[str, bytes], str] = {}

        def connect(retries: "RetryConfig | None") -> tuple[S3Store, S3Store]:
            config = cast("S3Config", dict(access))
            small, large = (
                S3Store(
                    bucket,
                    prefix=prefix or None,
                    config=config,
                    client_options=self._options(seconds),
                    retry_config=retries,
                )
                for seconds in (_SMALL_SECONDS, _LARGE_SECONDS)
            )
            return small, large

        # No attribute holds the keys.
        self._connect = connect
        self._objects, self._large = self._changing = connect(retries)

    def check(self) -> None:
        """Raise StoreError if the bucket does not exist or we have no access to it."""
        with self._report_errors():
            next(iter(obstore.list(self._objects, chunk_size=1)), None)

    def create(self, name: str, content: bytes) -> bool:
        # A create without an answer may have been done. The same call uses its token again, so it does not lose to
        # itself.
        asked = (name, content)
        token = self._unanswered.pop(asked, None) or secrets.token_hex(16)
        try:
            return self.create_as(name, content, token)
        except NoAnswer:
            if len(self._unanswered) < _MOST_UNANSWERED:
                self._unanswered[asked] = token
            raise

    def create_as(self, name: str, content: bytes, token: str) -> bool:
        """`create` with this token. True also if an earlier call with the token has created the file."""
        key = self._key(name)
        with self._report_errors():
            try:
                obstore.put(self._objects, key, content, mode="create", attributes={_TOKEN: token}, use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                return self._token_of(key) == token
            except GenericError:
                # It may have been done or not.
                standing = self._token_of(key)
                if standing is None:
                    raise
                return standing == token
        return True

    def replace(self, name: str, pieces: Iterable[bytes], modified_ns: int | None = None) -> None:  # noqa: ARG002  an object has its own time
        key = self._key(name)
        rest = iter(pieces)
        head = _take(rest, PART_BYTES)
        guarded = _Guarded(chain([head], rest))
        try:
            with self._report_errors():
                if len(head) < PART_BYTES:
                    small, large = self._changing
                    obstore.put(small if len(head) <= SMALL_BYTES else large, key, head, use_multipart=False)
                else:
                    self._upload(key, guarded)
        except Exception:
            guarded.raise_own()
            raise

    def read(self, name: str) -> bytes | None:
        with self._report_errors():
            try:
                found = obstore.get(self._objects, self._key(name))
            except FileNotFoundError as error:
                if _lacks_bucket(error):
                    raise
                return None
            if found.meta["size"] > MOST_DOCUMENT_BYTES:
                size = found.meta["size"]
                raise UnusableDocument(f"{name} has {size} bytes, expected at most {MOST_DOCUMENT_BYTES}")
            return bytes(found.bytes())

    def read_range(self, name: str, start: int, length: int) -> bytes:
        with self._report_errors():
            return bytes(obstore.get_range(self._for(length), self._key(name), start=start, length=length))

    def stream(self, name: str) -> Iterator[bytes]:
        """Read in parts, so that no request takes as long as the whole file; all are of the version found first."""
        with self._report_errors():
            found = obstore.get(self._large, self._key(name), options={"head": True})
        size, version = found.meta["size"], found.meta["e_tag"]
        for start in range(0, size, PART_BYTES):
            with self._report_errors():
                options: GetOptions = {"range": (start, min(start + PART_BYTES, size)), "if_match": version}
                yield bytes(obstore.get(self._for(size), self._key(name), options=options).bytes())

    def list(self, folder: str = "") -> Iterator[Entry]:
        prefix = self._key(folder) if folder else None
        with self._report_errors():
            for page in obstore.list(self._objects, prefix=prefix):
                for found in page:
                    moment = round(found["last_modified"].timestamp()) * 10**9
                    yield Entry(name_of(found["path"]), found["size"], moment, f"{found['e_tag']} {moment}")

    def remove(self, name: str) -> None:
        with self._report_errors():
            obstore.delete(self._changing[0], self._key(name))

    def once(self) -> "BucketStore":
        """As in `Store`, but a multipart upload still repeats requests: only one of its last ones can succeed."""
        twin = copy.copy(self)
        twin._changing = self._connect({"max_retries": 0})
        return twin

    def remove_leftovers(self) -> None:
        """Do nothing: unfinished uploads are in no list, and the bucket's lifecycle rule removes them."""

    def _options(self, seconds: int) -> "ClientConfig":
        options = cast(
            "ClientConfig", {"connect_timeout": f"{_SMALL_SECONDS}s", "timeout": f"{seconds}s", **self._proxy}
        )
        if self._host.startswith("http://"):
            options["allow_http"] = True
        return options

    def _for(self, size: int) -> S3Store:
        """The connection for requests of `size` bytes."""
        return self._objects if size <= SMALL_BYTES else self._large

    def _key(self, name: str) -> str:
        return key_of(name, self._prefix)

    def _token_of(self, key: str) -> str | None:
        """The token that created the object; empty if it has none, None if there is no object."""
        try:
            found = obstore.get(self._objects, key, options={"head": True})
        except FileNotFoundError:
            return None
        return found.attributes.get(_TOKEN, "")

    def _upload(self, key: str, pieces: "_Guarded") -> None:
        """Upload in parts. If the answer to the last request is lost, the token tells whether the file is whole."""
        token = secrets.token_hex(16)
        try:
            obstore.put(
                self._large,
                key,
                pieces,
                attributes={_TOKEN: token},
                use_multipart=True,
                chunk_size=PART_BYTES,
                max_concurrency=_PARTS_AT_ONCE,
            )
        except Exception:
            if self._token_of(key) != token:
                raise

    @contextmanager
    def _report_errors(self) -> Iterator[None]:
        """Translate obstore's errors into our own, without the text of a request or an answer."""
        try:
            yield
        except (BaseError, OSError) as error:
            if isinstance(error, FileNotFoundError) and not _lacks_bucket(error):
                raise FileNotFoundError(f"no such object in {self.place}") from None
            if _has_changed(error):
                raise FileChanged(f"{self.place}: a file was replaced while it was read") from None
            raise self._error_of(error) from None

    def _error_of(self, error: Exception) -> StoreError:
        text = str(error)
        code, status = _CODE.search(text), _STATUS.search(text)
        if _lacks_bucket(error):
            return StoreError(f"{self.place}: there is no such bucket at {self._host}; create it, or fix the name")
        if isinstance(error, UnauthenticatedError | PermissionDeniedError) or (code and code[1] in _DENIED):
            said = code[1] if code else type(error).__name__
            return AccessDenied(f"{self.place}: {self._host} does not accept the credentials ({said})")
        if "credential" in text.lower() or "169.254." in text:
            return AccessDenied(
                f"{self.place}: no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
            )
        if _ELSEWHERE.search(text):
            return StoreError(f"{self.place}: the bucket is in another region; set AWS_REGION, or fix the address")
        if status:
            return NoAnswer(f"{self.place}: {self._host} answers {status[1].strip()}{f' ({code[1]})' if code else ''}")
        return NoAnswer(f"{self.place}: no answer from {self._host}; check the address and the network")


def _lacks_bucket(error: Exception) -> bool:
    return "NoSuchBucket" in str(error)


def _has_changed(error: Exception) -> bool:
    """Whether an object's version is not the requested one, or the object ends before the requested range."""
    return isinstance(error, PreconditionError) or "InvalidRange" in str(error)


class _Guarded:
    """Pieces for obstore that remember their error, since obstore reports it as one of its own."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._error: BaseException | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._pieces)
        except StopIteration:
            raise
        except BaseException as error:
            self._error = error
            raise

    def raise_own(self) -> None:
        """Raise what the pieces raised, if they did."""
        if self._error is not None:
            raise self._error


def _take(pieces: Iterator[bytes], size: int) -> bytes:
    """Join the first pieces, up to `size` bytes or more, or all."""
    taken = bytearray()
    for piece in pieces:
        taken += piece
        if len(taken) >= size:
            break
    return bytes(taken)
