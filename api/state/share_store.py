"""Links that show one job to people without a key, in FITSTOP_STATE_FOLDER: only a hash of each link's token.

shares/<job id>/<share id>.json   the link's job, and the key that created it: written once, removed when it is revoked

A link is valid as long as its key. It shows nothing, on every host, when the key expires or is revoked, or when
FITSTOP_ADMIN_KEY changes.
"""

import hmac
import logging
import re
import secrets
import shutil
import string
from hashlib import sha256
from pathlib import Path

from api.state.key_store import KeyStore, KnownKey
from shared.document import Document, UnusableDocument, read_document
from shared.durable import create_file, encode, make_folder
from shared.ids import is_job_id
from shared.times import seconds_until, utc_now

SHARE_ID_PATTERN = r"^share_[a-z0-9]{12}$"

_ID = re.compile(SHARE_ID_PATTERN[1:-1])
_TOKEN = re.compile(r"fss_([a-z0-9]{12})_[A-Za-z0-9_-]{43}")
_LETTERS = string.ascii_lowercase + string.digits

log = logging.getLogger(__name__)


class ShareRecord(Document):
    """`<share id>.json`. `bound` is a hash of the token and of the key's hash, so that no other key fits."""

    id: str
    job: str
    project: str
    key_id: str
    bound: str
    created_at: str
    expires_at: str | None


class ShareStore:
    """The store of all links. Creates its folder; raises OSError if it cannot."""

    def __init__(self, state_folder: Path, keys: KeyStore) -> None:
        self._folder = state_folder / "shares"
        self._keys = keys
        make_folder(self._folder)

    def create(self, job_id: str, project: str, key: KnownKey, expires_at: str | None) -> tuple[ShareRecord, str]:
        """Create a link to a job. Return its record, and its token, which cannot be recovered later.

        `expires_at` is RFC 3339 in UTC, or None for never. Raises ValueError for a key that no longer exists.
        """
        key_hash = self._keys.hash_of(key.id)
        if key_hash is None:
            raise ValueError(f"no key of this id: {key.id}")
        name = "".join(secrets.choice(_LETTERS) for _ in range(12))
        token = f"fss_{name}_{secrets.token_urlsafe(32)}"
        record = ShareRecord(
            id=f"share_{name}",
            job=job_id,
            project=project,
            key_id=key.id,
            bound=_bind(token, key_hash),
            created_at=utc_now(),
            expires_at=expires_at,
        )
        make_folder(self.place(job_id))
        if not create_file(self._file(job_id, record.id), encode(record.model_dump(mode="json"))):
            raise FileExistsError(f"two links of one id: {record.id}")
        return record, token

    def find(self, job_id: str, token: str) -> ShareRecord | None:
        """The valid link to this job with this token; None for every other token."""
        found = _TOKEN.fullmatch(token)
        if found is None or not is_job_id(job_id):
            return None
        record = self._read(self._file(job_id, f"share_{found[1]}"))
        if record is None or record.job != job_id or not self._is_open(record):
            return None
        key_hash = self._keys.hash_of(record.key_id) or ""
        return record if hmac.compare_digest(record.bound, _bind(token, key_hash)) else None

    def of_job(self, job_id: str) -> list[ShareRecord]:
        """The valid links to a job, newest first."""
        records = (self._read(path) for path in self.place(job_id).glob("share_*.json"))
        found = [record for record in records if record is not None and self._is_open(record)]
        return sorted(found, key=lambda one: (one.created_at, one.id), reverse=True)

    def revoke(self, job_id: str, share_id: str) -> bool:
        """Revoke a link permanently. False if it does not exist."""
        if _ID.fullmatch(share_id) is None:
            return False
        try:
            self._file(job_id, share_id).unlink()
        except FileNotFoundError:
            return False
        return True

    def revoke_all(self, job_id: str) -> None:
        """Revoke all links to a deleted job."""
        shutil.rmtree(self.place(job_id), ignore_errors=True)

    def place(self, job_id: str) -> Path:
        """The folder of the links to a job. The caller has checked the id."""
        return self._folder / job_id

    def _is_open(self, record: ShareRecord) -> bool:
        key = self._keys.of_id(record.key_id)
        is_over = record.expires_at is not None and seconds_until(record.expires_at) <= 0
        return key is not None and key.status == "active" and not is_over

    def _read(self, path: Path) -> ShareRecord | None:
        try:
            return read_document(path, ShareRecord)
        except UnusableDocument as error:
            log.error("a link to a job cannot be used: %s", error)
            return None

    def _file(self, job_id: str, share_id: str) -> Path:
        return self.place(job_id) / f"{share_id}.json"


def _bind(token: str, key_hash: str) -> str:
    return sha256(f"{token} {key_hash}".encode()).hexdigest()
