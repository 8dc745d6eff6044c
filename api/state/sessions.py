"""The sessions of people who are logged in at the page, in FITSTOP_STATE_FOLDER: only a hash of each secret.

sessions/<digest>.json   the key that the session represents, and its end; removed when the session has ended

A session has the rights of its key at each moment. It ends at once, on every host, when the key expires or is revoked,
or when FITSTOP_ADMIN_KEY changes. A code is valid for ten minutes, and can be exchanged for a session once.
"""

import hmac
import logging
import re
import secrets
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Literal

from api.state.key_store import KeyStore, KnownKey
from shared.document import Document, NewerFormat, UnusableDocument, read_document
from shared.durable import create_file, encode, make_folder
from shared.times import seconds_until, time_in, utc_now

Kind = Literal["session", "code"]

SECONDS: dict[Kind, int] = {"session": 7 * 86_400, "code": 600}
MOST_OF_ONE_KEY = 100

_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")

log = logging.getLogger(__name__)


class SessionRecord(Document):
    """`sessions/<digest>.json`. `bound` is a hash of the secret and of the key's hash, so that no other key fits."""

    kind: Kind
    key_id: str
    bound: str
    created_at: str
    expires_at: str


class SessionStore:
    """The store of all sessions. Creates its folder; raises OSError if it cannot."""

    def __init__(self, state_folder: Path, keys: KeyStore) -> None:
        self._folder = state_folder / "sessions"
        self._keys = keys
        make_folder(self._folder)

    def begin(self, key: KnownKey, kind: Kind = "session") -> str:
        """Begin a session and return its secret, which cannot be recovered later.

        The oldest sessions of a key above MOST_OF_ONE_KEY are ended. Raises ValueError for a key that no longer exists.
        """
        key_hash = self._keys.hash_of(key.id)
        if key_hash is None:
            raise ValueError(f"no key of this id: {key.id}")
        self._remove_ended(key.id)
        secret = secrets.token_urlsafe(32)
        record = SessionRecord(
            kind=kind,
            key_id=key.id,
            bound=_bind(secret, key_hash),
            created_at=utc_now(),
            expires_at=time_in(SECONDS[kind]),
        )
        create_file(self._file(secret), encode(record.model_dump(mode="json")))
        return secret

    def find(self, secret: str, kind: Kind = "session") -> KnownKey | None:
        """The key of a session, while both are active; None for every other secret."""
        record = self._record(self._file(secret)) if _SECRET.fullmatch(secret) else None
        if record is None or record.kind != kind:
            return None
        key = self._key_of(record, secret)
        if key is None:
            self.end(secret)
        return key

    def take_code(self, secret: str) -> KnownKey | None:
        """Use up a code and return its key; None for an invalid code. Of several concurrent calls, one gets the key."""
        key = self.find(secret, "code")
        return key if key is not None and self.end(secret) else None

    def end(self, secret: str) -> bool:
        """End a session permanently. False if it had ended already."""
        try:
            self._file(secret).unlink()
        except FileNotFoundError:
            return False
        return True

    def end_all(self, key_id: str) -> None:
        """End all sessions and codes of a key."""
        for path, record in self._all():
            if record is not None and record.key_id == key_id:
                path.unlink(missing_ok=True)

    def _key_of(self, record: SessionRecord, secret: str) -> KnownKey | None:
        key, key_hash = self._keys.of_id(record.key_id), self._keys.hash_of(record.key_id)
        if key is None or key_hash is None or not hmac.compare_digest(record.bound, _bind(secret, key_hash)):
            return None
        return key if key.status == "active" and seconds_until(record.expires_at) > 0 else None

    def _remove_ended(self, key_id: str) -> None:
        """Remove ended sessions, and the oldest ones of a key that has the maximum, so that the folder stays small."""
        active = []
        for path, record in self._all():
            if record is None or seconds_until(record.expires_at) <= 0:
                path.unlink(missing_ok=True)
            elif record.key_id == key_id:
                active.append((record.created_at, _write_time(path), path))
        for *_, path in sorted(active, reverse=True)[MOST_OF_ONE_KEY - 1 :]:
            path.unlink(missing_ok=True)

    def _all(self) -> Iterator[tuple[Path, SessionRecord | None]]:
        """All sessions, with None for damaged ones. Those of a newer format are left to a newer version."""
        for path in self._folder.glob("*.json"):
            try:
                yield path, read_document(path, SessionRecord)
            except NewerFormat:
                continue
            except UnusableDocument:
                yield path, None

    def _record(self, path: Path) -> SessionRecord | None:
        try:
            return read_document(path, SessionRecord)
        except UnusableDocument as error:
            log.error("a session cannot be used: %s", error)
            return None

    def _file(self, secret: str) -> Path:
        return self._folder / f"{sha256(secret.encode()).hexdigest()}.json"


def _bind(secret: str, key_hash: str) -> str:
    return sha256(f"{secret} {key_hash}".encode()).hexdigest()


def _write_time(path: Path) -> int:
    """The time of the file's last write, in nanoseconds since 1970; `created_at` has only milliseconds."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
