"""Who is signed in at the page: in FITSTOP_STATE_FOLDER, and never the secret that a browser holds, only its hash.

sessions/<digest>.json   whose key it stands for and until when; gone when it was ended or found to be over

A session is worth what its key is worth at each moment: with a key that is revoked, expired or, in the environment,
another one by now, it is over at once and on every host. A code is a session of ten minutes that opens one other.
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
    """`sessions/<digest>.json`. `bound` is a hash over the secret and the key's own hash: another key opens nothing."""

    kind: Kind
    key_id: str
    bound: str
    created_at: str
    expires_at: str


class SessionStore:
    """All sessions. Makes its folder; raises OSError where it cannot."""

    def __init__(self, state_folder: Path, keys: KeyStore) -> None:
        self._folder = state_folder / "sessions"
        self._keys = keys
        make_folder(self._folder)

    def begin(self, key: KnownKey, kind: Kind = "session") -> str:
        """The secret of a new session, which nobody can show again. The oldest ones of a key that has many are ended.

        Raises ValueError for a key that is not there any more.
        """
        key_hash = self._keys.hash_of(key.id)
        if key_hash is None:
            raise ValueError(f"no key of this id: {key.id}")
        self._tidy(key.id)
        secret = secrets.token_urlsafe(32)
        record = SessionRecord(
            kind=kind,
            key_id=key.id,
            bound=_bound(secret, key_hash),
            created_at=utc_now(),
            expires_at=time_in(SECONDS[kind]),
        )
        create_file(self._file(secret), encode(record.model_dump(mode="json")))
        return secret

    def find(self, secret: str, kind: Kind = "session") -> KnownKey | None:
        """The key that a session stands for, while it is active; None for everything else."""
        record = self._record(self._file(secret)) if _SECRET.fullmatch(secret) else None
        if record is None or record.kind != kind:
            return None
        key = self._key_of(record, secret)
        if key is None:
            self.end(secret)
        return key

    def take_code(self, secret: str) -> KnownKey | None:
        """The same for a code, which is used up by it: of several who show it one is answered."""
        key = self.find(secret, "code")
        return key if key is not None and self.end(secret) else None

    def end(self, secret: str) -> bool:
        """End a session for good; False where it was over already."""
        try:
            self._file(secret).unlink()
        except FileNotFoundError:
            return False
        return True

    def end_all(self, key_id: str) -> None:
        """End every session and every code of a key."""
        for path, record in self._all():
            if record is not None and record.key_id == key_id:
                path.unlink(missing_ok=True)

    def _key_of(self, record: SessionRecord, secret: str) -> KnownKey | None:
        key, key_hash = self._keys.of_id(record.key_id), self._keys.hash_of(record.key_id)
        if key is None or key_hash is None or not hmac.compare_digest(record.bound, _bound(secret, key_hash)):
            return None
        return key if key.status == "active" and seconds_until(record.expires_at) > 0 else None

    def _tidy(self, key_id: str) -> None:
        """Remove what is over, and all but the newest of a key, so that the folder stays small."""
        standing = []
        for path, record in self._all():
            if record is None or seconds_until(record.expires_at) <= 0:
                path.unlink(missing_ok=True)
            elif record.key_id == key_id:
                standing.append((record.created_at, _write_time(path), path))
        for *_, path in sorted(standing, reverse=True)[MOST_OF_ONE_KEY - 1 :]:
            path.unlink(missing_ok=True)

    def _all(self) -> Iterator[tuple[Path, SessionRecord | None]]:
        """All but those of a newer format, which are for a newer version to end."""
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


def _bound(secret: str, key_hash: str) -> str:
    return sha256(f"{secret} {key_hash}".encode()).hexdigest()


def _write_time(path: Path) -> int:
    """When the file was written, in nanoseconds since 1970: `created_at` is the same for two of one millisecond."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
