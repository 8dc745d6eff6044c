"""API keys as clients hold them: `fs_<12 characters that name the key>_<40 secret ones>`.

The prefix and the fixed length let secret scanners find keys. 40 random letters and digits are 238 bits, so a plain
SHA-256 of the whole key is stored: a slow hash only protects secrets that can be guessed.
"""

import re
import secrets
import string
from hashlib import sha256

PATTERN = r"fs_[a-z0-9]{12}_[A-Za-z0-9]{40}"
KEY_ID_PATTERN = r"key_[a-z0-9]{12}"

_KEY = re.compile(PATTERN)
_KEY_ID = re.compile(KEY_ID_PATTERN)
_NAMING = string.ascii_lowercase + string.digits
# Length of `fs_` and the characters that name the key.
_NAMED = 15
_SECRET = string.ascii_letters + string.digits


def new_api_key() -> str:
    """A new random key."""
    return f"fs_{_chosen(_NAMING, 12)}_{_chosen(_SECRET, 40)}"


def is_api_key(text: str) -> bool:
    """Whether `text` has the form of a key."""
    return _KEY.fullmatch(text) is not None


def is_key_id(text: str) -> bool:
    """Whether `text` could name a key: `key_` and the 12 characters."""
    return _KEY_ID.fullmatch(text) is not None


def key_id_of(key: str) -> str:
    """The public name of a key that `is_api_key` accepts."""
    return f"key_{key[3:15]}"


def hash_key(key: str) -> str:
    """The stored hash of a key: its SHA-256 in hexadecimal."""
    return sha256(key.encode()).hexdigest()


def without_keys(text: str) -> str:
    """`text` without API keys; the public names of keys stay."""
    return _KEY.sub(lambda found: f"{found.group()[:_NAMED]}_***", text)


def _chosen(alphabet: str, count: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(count))
