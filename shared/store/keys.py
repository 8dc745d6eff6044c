"""The key of an object for each name of a file, and back.

A file of a script may have any name, also one with line breaks or bytes that are no UTF-8. Only the characters that
every server, console and tool handles alike stand in a key; the others are percent-encoded.
"""

import os
from urllib.parse import quote, unquote_to_bytes

from shared.store.interface import BadName, StoreError, check_name

# The most that S3 takes.
_MOST_KEY_BYTES = 1024


def encode_name(name: str) -> str:
    """The name as plain ASCII, of which `name_of` makes the name again."""
    return quote(os.fsencode(name), safe="/")


def key_of(name: str, prefix: str) -> str:
    """The key of the file below `prefix`. Raises BadName for a name that no object can have."""
    check_name(name)
    key = encode_name(name)
    length = len(f"{prefix}/{key}".encode())
    if length > _MOST_KEY_BYTES:
        raise BadName(f"{name!r} is too long for a bucket: its key has {length} bytes, expected at most 1024")
    return key


def name_of(key: str) -> str:
    """The name of the file whose key this is. Raises StoreError for a key that `key_of` makes for no name."""
    name = os.fsdecode(unquote_to_bytes(key))
    if encode_name(name) != key:
        raise StoreError(f"the object {key!r} is not a file of a volume; give Fitstop its own prefix in the bucket")
    return name
