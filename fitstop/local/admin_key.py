"""The local stack's own key: created at its first start and kept next to the volume."""

from pathlib import Path

from fitstop.connection import write_private
from fitstop.local.ports import StackError
from shared.api_key import is_api_key, new_api_key


def admin_key_file(data: Path) -> Path:
    """The key's file, readable by this user alone."""
    return data / "admin_key"


def admin_key(data: Path) -> str:
    """The stack's key, created at the first start. Raises StackError for a file without a key."""
    path = admin_key_file(data)
    try:
        if not path.exists():
            beside = path.with_name(".admin_key.part")
            write_private(beside, new_api_key() + "\n")
            beside.replace(path)
        key = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StackError(f"{path} can't be read: {error}") from error
    if not is_api_key(key):
        raise StackError(f"{path} does not hold an API key; remove the file, and the next start creates a new key")
    return key
