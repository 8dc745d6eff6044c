"""Opens the folder that stands for a volume in a bucket, for a process of the service."""

import errno
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from shared.mirror.known import KnownFiles
from shared.mirror.local_folder import Eager, for_readers
from shared.mirror.mirror import Mirror
from shared.mirror.pull import Puller, Wants, everything
from shared.problems import FitstopError
from shared.seldom import Seldom
from shared.settings import Settings
from shared.store.bucket import BucketStore
from shared.store.interface import NoAnswer, StoreError
from shared.store.opening import PATIENCE, open_bucket
from shared.store.trial import try_bucket
from shared.volume_identity import COPY_FILE, COPY_FOLDER, MARKER_FILE

# Time between two tries of a bucket that does not answer.
_AGAIN_SECONDS = 3.0

_Opened = TypeVar("_Opened")

log = logging.getLogger(__name__)


class BucketUnusable(OSError):
    """The bucket cannot hold the volume. Its text is only the reason, which names the bucket."""

    def __str__(self) -> str:
        return str(self.strerror)


class BucketAway(BucketUnusable):
    """The bucket does not answer now, or fails; the same call may succeed later."""


class Looking:
    """The thread in which one process looks at its bucket."""

    def __init__(self, mirror: Mirror, puller: Puller, seconds: float) -> None:
        self.mirror = mirror
        self._puller = puller
        self._seconds = seconds
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bucket", daemon=True)

    def begin(self, tell: Callable[[list[str]], object] = lambda _: None) -> None:
        """Start the thread. `tell` is called with the ids of new open jobs."""
        self._puller.tell = tell
        self._thread.start()

    def end(self) -> None:
        """Stop the thread, and look once more to send the last hints."""
        self._end.set()
        self._thread.join(timeout=self._seconds)
        self._puller.look()

    def _run(self) -> None:
        while not self._end.wait(self._seconds):
            self._puller.look()


def open_mirror(  # noqa: PLR0913
    settings: Settings,
    root: Path,
    environment: Mapping[str, str] = os.environ,
    *,
    wants: Wants = everything,
    always: tuple[str, ...] = ("workers",),
    eager: Eager = for_readers,
) -> Looking | None:
    """Make `root` stand for the bucket of the settings, after a first look; None for a volume on a filesystem.

    Raises BucketUnusable if the bucket cannot be used, BucketAway if waiting can help.
    """
    if not settings.bucket:
        return None
    store = open_usable(settings.bucket, environment)
    try:
        root.mkdir(parents=True, exist_ok=True)
        _forget_copy(store)
        mirror = Mirror(root, store, KnownFiles(root.with_name(f"{root.name}.sqlite")), eager)
        bring_marker(mirror)
    except FitstopError as error:
        raise _unusable(error, settings.bucket) from error
    puller = Puller(mirror, wants, always)
    if not puller.look():
        raise BucketAway(errno.EREMOTEIO, mirror.trouble, settings.bucket)
    return Looking(mirror, puller, settings.bucket_seconds)


def wait_for_bucket(open_it: Callable[[], _Opened], pause: Callable[[float], object] = time.sleep) -> _Opened:
    """Call `open_it` until its bucket answers, and return its result. Logs the reason, and repeats it rarely.

    Raises BucketUnusable if waiting does not help.
    """
    seldom = Seldom()
    while True:
        try:
            opened = open_it()
        except BucketAway as error:
            if seldom.is_due(str(error)):
                log.warning("%s; waiting until it answers", error)
            pause(_AGAIN_SECONDS)
        else:
            if seldom.was_due:
                log.warning("the bucket answers")
            return opened


def open_usable(address: str, environment: Mapping[str, str] = os.environ) -> BucketStore:
    """Open the bucket at an address after a trial of what a volume needs. Raises BucketUnusable."""
    try:
        store = open_bucket(address, environment, PATIENCE)
        if store.read(COPY_FILE) is not None and store.read(MARKER_FILE) is None:
            raise StoreError(f"the copy into {store.place} is not finished: run `fitstop volume copy` again")
        try_bucket(store, rounds=1)
    except FitstopError as error:
        raise _unusable(error, address) from error
    return store


def _unusable(error: FitstopError, address: str) -> BucketUnusable:
    kind = BucketAway if isinstance(error, NoAnswer) else BucketUnusable
    return kind(errno.EREMOTEIO, str(error), address)


def _forget_copy(store: BucketStore) -> None:
    """Remove the record of the copy that made this volume, `copy.json` last: the volume's files will change.

    Raises StoreError.
    """
    if store.read(COPY_FILE) is not None:
        for entry in list(store.list(COPY_FOLDER)):
            if entry.name != COPY_FILE:
                store.remove(entry.name)
        store.remove(COPY_FILE)


def bring_marker(mirror: Mirror) -> None:
    """Download the marker that says which volume this is, if the bucket has one. Raises StoreError."""
    if (marker := mirror.store.read(MARKER_FILE)) is not None:
        mirror.folder.put(MARKER_FILE, [marker])
