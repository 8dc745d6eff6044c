"""The object key for each file name, and back.

A script may give its files any name, even with line breaks or bytes that are not UTF-8. A key contains only characters
that every server, console and tool handles alike; the others are percent-encoded.
"""

import os
from urllib.parse import quote, unquote_to_bytes

from shared.store.interface import BadName, StoreError, check_name

# The limit of S3.
_MOST_KEY_BYTES = 1024


def encode_name(name: str) -> str:
    """The name as plain ASCII, which `name_of` decodes."""
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
    """The name of the file with this key. Raises StoreError if `key_of` makes this key for no name."""
    name = os.fsdecode(unquote_to_bytes(key))
    if encode_name(name) != key:
        raise StoreError(f"the object {key!r} is not a file of a volume; give Fitstop its own prefix in the bucket")
    return name
