"""Where this machine keeps what it keeps, where no setting says so."""

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

# The folder of everything that one machine keeps; the volume is in it where nothing else is said.
DATA_VARIABLE = "FITSTOP_DATA"
DEFAULT_DATA = "fitstop-data"


def data_folder() -> Path:
    return Path(os.environ.get(DATA_VARIABLE) or DEFAULT_DATA)


def volume_folder() -> Path:
    return data_folder() / "volume"


def folder_for(bucket: str) -> Path:
    """The folder that stands for a bucket, for the API."""
    return data_folder() / "buckets" / hashlib.sha256(bucket.encode()).hexdigest()[:12] / "api"


def state_folder(settings: dict[str, Any]) -> Path:
    """Beside the volume, never in it: workers can write there."""
    volume = volume_folder() if settings.get("bucket") else Path(settings.get("volume") or volume_folder())
    return volume.parent / "api"


def cache_folder() -> Path:
    """The XDG base directory for what may be deleted at any moment."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "fitstop"
    except RuntimeError:
        # A user without a home and without an entry in /etc/passwd, as containers have.
        return Path(tempfile.gettempdir()) / f"fitstop-{os.getuid()}"
