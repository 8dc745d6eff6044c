"""The API keys, in FITSTOP_STATE_FOLDER: only their hashes, never a key itself.

keys/<key id>.json           scope, project and hash of the key: written once
keys/<key id>.revoked.json   written once, when the key is revoked

FITSTOP_ADMIN_KEY may hold one more key. It is never stored, and is valid as long as the variable is set.
"""

import hmac
import logging
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from shared.api_key import hash_key, is_api_key, is_key_id, key_id_of, new_api_key
from shared.document import Document, UnusableDocument, read_document
from shared.durable import create_file, encode, make_folder
from shared.problems import NotFound
from shared.project import DEFAULT_PROJECT, ProjectName
from shared.spec import Text
from shared.times import seconds_until, utc_now

Scope = Literal["read", "write", "code", "admin"]
KeyStatus = Literal["active", "expired", "revoked"]

KeyName = Annotated[Text, Field(min_length=1, max_length=128)]

ENVIRONMENT_KEY_ID = "key_environment"

log = logging.getLogger(__name__)


class KeyRecord(Document):
    """`keys/<key id>.json`. `sha256` is that of the whole key."""

    id: str
    name: KeyName
    scope: Scope
    project: ProjectName = DEFAULT_PROJECT
    sha256: str
    created_at: str
    expires_at: str | None


class Revocation(Document):
    """`keys/<key id>.revoked.json`."""

    revoked_at: str


@dataclass(frozen=True)
class KnownKey:
    """The facts of a key, from its current files."""

    id: str
    name: str
    scope: Scope
    project: str = DEFAULT_PROJECT
    created_at: str | None = None
    expires_at: str | None = None
    revoked_at: str | None = None

    @property
    def status(self) -> KeyStatus:
        if self.revoked_at is not None:
            return "revoked"
        is_over = self.expires_at is not None and seconds_until(self.expires_at) <= 0
        return "expired" if is_over else "active"


class KeyStore:
    """The store of all keys. Creates its folder; raises OSError if it cannot."""

    def __init__(self, state_folder: Path, admin_key: SecretStr | None = None) -> None:
        self._folder = state_folder / "keys"
        self._admin_hash = hash_key(admin_key.get_secret_value()) if admin_key else None
        make_folder(self._folder)

    def create(
        self, name: str, scope: Scope, expires_at: str | None = None, project: str = DEFAULT_PROJECT
    ) -> tuple[KnownKey, str]:
        """Create a key. Return its facts, and the key itself, which cannot be recovered later.

        `expires_at` is RFC 3339 in UTC, or None for never. Raises ValidationError for an invalid key or project name.
        """
        key = new_api_key()
        record = KeyRecord(
            id=key_id_of(key),
            name=name,
            scope=scope,
            project=project,
            sha256=hash_key(key),
            created_at=utc_now(),
            expires_at=expires_at,
        )
        if not create_file(self._file(record.id), encode(record.model_dump(mode="json"))):
            raise FileExistsError(f"two keys of one id: {record.id}")
        return self._known(record), key

    def find(self, key: str) -> KnownKey | None:
        """The facts of a key that a client sent, also of one that is expired or revoked; None for an unknown key."""
        if self._admin_hash is not None and hmac.compare_digest(self._admin_hash, hash_key(key)):
            return _ENVIRONMENT_KEY
        record = self._usable(key_id_of(key)) if is_api_key(key) else None
        if record is None or not hmac.compare_digest(record.sha256, hash_key(key)):
            return None
        return self._known(record)

    def of_id(self, key_id: str) -> KnownKey | None:
        """The facts of the key with this id; None if it does not exist."""
        if key_id == ENVIRONMENT_KEY_ID:
            return None if self._admin_hash is None else _ENVIRONMENT_KEY
        record = self._usable(key_id) if is_key_id(key_id) else None
        return None if record is None else self._known(record)

    def hash_of(self, key_id: str) -> str | None:
        """The SHA-256 of the key with this id; None if it does not exist."""
        if key_id == ENVIRONMENT_KEY_ID:
            return self._admin_hash
        record = self._usable(key_id) if is_key_id(key_id) else None
        return None if record is None else record.sha256

    def all(self) -> list[KnownKey]:
        """All keys, newest first. One that cannot be read is logged and left out."""
        ids = (path.name.removesuffix(".json") for path in self._folder.glob("*.json"))
        records = [record for record in map(self._usable, filter(is_key_id, ids)) if record is not None]
        known = [self._known(record) for record in sorted(records, key=_age, reverse=True)]
        return known if self._admin_hash is None else [_ENVIRONMENT_KEY, *known]

    def revoke(self, key_id: str) -> KnownKey:
        """Revoke a key permanently; the time of the first revocation stays. Raises NotFound for an unknown id."""
        record = self._record(key_id) if is_key_id(key_id) else None
        if record is None:
            raise NotFound("there is no key with this id")
        content = encode(Revocation(revoked_at=utc_now()).model_dump(mode="json"))
        create_file(self._revocation_file(key_id), content)
        return self._known(record)

    def has_admin(self) -> bool:
        """Whether there is an active key of scope `admin`, which can create the others."""
        return any(key.scope == "admin" and key.status == "active" for key in self.all())

    def _known(self, record: KeyRecord) -> KnownKey:
        return KnownKey(
            id=record.id,
            name=record.name,
            scope=record.scope,
            project=record.project,
            created_at=record.created_at,
            expires_at=record.expires_at,
            revoked_at=self._revoked_at(record),
        )

    def _revoked_at(self, record: KeyRecord) -> str | None:
        """The time of the revocation, or of the key's creation if it cannot be read; None if it does not exist."""
        try:
            found = read_document(self._revocation_file(record.id), Revocation)
        except UnusableDocument as error:
            _log_once(f"{record.id} counts as revoked: {error}")
            return record.created_at
        return found.revoked_at if found else None

    def _record(self, key_id: str) -> KeyRecord | None:
        return read_document(self._file(key_id), KeyRecord)

    def _usable(self, key_id: str) -> KeyRecord | None:
        """The record of a key; None also if it cannot be read, so that the key gives no access."""
        try:
            return self._record(key_id)
        except UnusableDocument as error:
            _log_once(f"{key_id} is ignored: {error}")
            return None

    def _file(self, key_id: str) -> Path:
        return self._folder / f"{key_id}.json"

    def _revocation_file(self, key_id: str) -> Path:
        return self._folder / f"{key_id}.revoked.json"


@lru_cache(maxsize=1000)
def _log_once(problem: str) -> None:
    """Log a problem once, not at each request with the key."""
    log.error("%s", problem)


_ENVIRONMENT_KEY = KnownKey(ENVIRONMENT_KEY_ID, "FITSTOP_ADMIN_KEY", "admin")


def _age(record: KeyRecord) -> tuple[str, str]:
    return record.created_at, record.id
