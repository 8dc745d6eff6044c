"""The folders that this machine uses unless a setting names others."""

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

# The data folder of one machine; the volume is in it unless a setting says otherwise.
DATA_VARIABLE = "FITSTOP_DATA"
DEFAULT_DATA = "fitstop-data"


def data_folder() -> Path:
    return Path(os.environ.get(DATA_VARIABLE) or DEFAULT_DATA)


def volume_folder() -> Path:
    return data_folder() / "volume"


def folder_for(bucket: str) -> Path:
    """The local folder of the API that stands for a bucket."""
    return data_folder() / "buckets" / hashlib.sha256(bucket.encode()).hexdigest()[:12] / "api"


def state_folder(settings: dict[str, Any]) -> Path:
    """The API's own folder: beside the volume, never in it, because workers can write to the volume."""
    volume = volume_folder() if settings.get("bucket") else Path(settings.get("volume") or volume_folder())
    return volume.parent / "api"


def cache_folder() -> Path:
    """Fitstop's folder in the XDG cache directory; it may be deleted at any time."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "fitstop"
    except RuntimeError:
        # A user without a home and without an entry in /etc/passwd, as in containers.
        return Path(tempfile.gettempdir()) / f"fitstop-{os.getuid()}"
