"""FITSTOP_STATE_FOLDER: what the API alone may read and write, and no worker mounts.

keys/       api.state.key_store
sessions/   api.state.sessions
shares/     api.state.share_store
webhooks/   api.state.webhook_store

All hosts of the API share it. It is no part of the volume: everybody who mounts that can write a file there, and a file
in `keys/` is a key. Versions before it kept both on the volume: `open_state_folder` moves them once, as long as the
folder has none of its own.
"""

import logging
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from shared.api_key import KEY_ID_PATTERN
from shared.durable import create_file, make_folder, sync_folder
from shared.plain_files import UnusableDocument, guard, read_plain
from shared.settings import Settings

_KINDS = {
    "keys": re.compile(rf"{KEY_ID_PATTERN}(\.revoked)?\.json"),
    "sessions": re.compile(r"[0-9a-f]{64}\.json"),
}

log = logging.getLogger(__name__)


def open_state_folder(settings: Settings) -> Path:
    """Make the folder, for this user alone, with what an older version kept on the volume. Raises OSError."""
    folder = settings.state_folder
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
    guard(folder)
    for kind, names in _KINDS.items():
        before = settings.volume / kind
        if not (folder / kind).is_dir():
            _take(before, folder / kind, names)
        elif before.is_dir() and any(before.iterdir()):
            log.warning("%s is not read: %s of this service are in %s", before, kind, folder / kind)
    return folder


def _take(before: Path, after: Path, names: re.Pattern[str]) -> None:
    """Copy the files of `before` into `after`, whole or not at all, and then remove them."""
    beside = after.with_name(f".{after.name}-{secrets.token_hex(6)}.tmp")
    beside.mkdir(mode=0o700)
    taken = 0
    for name, content in _files(before, names):
        taken += create_file(beside / name, content)
    try:
        beside.rename(after)
    except OSError:
        shutil.rmtree(beside, ignore_errors=True)
        if not after.is_dir():
            raise
        return  # another API host was first
    sync_folder(after.parent)
    if taken:
        log.warning("moved %s files from %s, which workers can write, to %s", taken, before, after)
    shutil.rmtree(before, ignore_errors=True)


def _files(folder: Path, names: re.Pattern[str]) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if names.fullmatch(path.name):
            try:
                content = read_plain(path)
            except UnusableDocument as error:
                log.error("%s is left out: %s", path, error)
                continue
            if content is not None:
                yield path.name, content
