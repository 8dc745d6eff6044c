"""The local stack's own key: made at its first start, kept beside the volume, so that nobody has to think of it."""

from pathlib import Path

from cli.connection import write_private
from cli.ports import StackError
from shared.api_key import is_api_key, new_api_key


def admin_key_file(data: Path) -> Path:
    """Where the key lies, readable by this user alone."""
    return data / "admin_key"


def kept_admin_key(data: Path) -> str:
    """The stack's key; made where there is none. Raises StackError for a file that holds none."""
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
        raise StackError(f"{path} holds no API key; take the file away and a new key is made")
    return key
