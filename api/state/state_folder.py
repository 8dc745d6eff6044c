"""FITSTOP_STATE_FOLDER: files that only the API may read and write. No worker has access to it.

keys/       api.state.key_store
sessions/   api.state.sessions
shares/     api.state.share_store
webhooks/   api.state.webhook_store

All hosts of the API share it. It is not on the volume: every machine with access to the volume can write files there,
and each file in `keys/` is a key. Early versions had keys and sessions on the volume. `open_state_folder` moves each
kind once, if the state folder has none of that kind.
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
    """Create the folder, only for this user, and move files of an early version from the volume. Raises OSError."""
    folder = settings.state_folder
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
    guard(folder)
    for kind, names in _KINDS.items():
        before = settings.volume / kind
        if not (folder / kind).is_dir():
            _move(before, folder / kind, names)
        elif before.is_dir() and any(before.iterdir()):
            log.warning("%s is not read: %s of this service are in %s", before, kind, folder / kind)
    return folder


def _move(before: Path, after: Path, names: re.Pattern[str]) -> None:
    """Copy the files of `before` to `after`, all or none, and then remove them."""
    copy = after.with_name(f".{after.name}-{secrets.token_hex(6)}.tmp")
    copy.mkdir(mode=0o700)
    moved = 0
    for name, content in _files(before, names):
        moved += create_file(copy / name, content)
    try:
        copy.rename(after)
    except OSError:
        shutil.rmtree(copy, ignore_errors=True)
        if not after.is_dir():
            raise
        return  # another API host was faster
    sync_folder(after.parent)
    if moved:
        log.warning("moved %s files from %s, which workers can write, to %s", moved, before, after)
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
