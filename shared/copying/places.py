"""Whether a volume may be copied from one place to another, and which of its files."""

import time

from shared.copying.problems import CopyRefused
from shared.document import parse_document
from shared.mirror.names import CHANGED, is_reservation
from shared.store.interface import Entry, Store
from shared.store.trial import TRIAL_FOLDER
from shared.volume_identity import COPY_FILE, COPY_FOLDER, MARKER_FILE, VolumeMarker

# Workers write their cards every two seconds.
_SHOWN_SECONDS = 10.0
_LOOK_SECONDS = 0.5
_WORKERS = "workers"


def read_volume_id(source: Store) -> str:
    """The id of the volume at `source`. Raises CopyRefused if there is none, or only an unfinished copy of one."""
    content = source.read(MARKER_FILE)
    if source.read(COPY_FILE) is not None and (content is None or source.keeps_times):
        raise CopyRefused(f"{source.place} is an unfinished copy; continue it with the command that started it")
    if content is None:
        raise CopyRefused(
            f"{source.place} is not a volume: it has no {MARKER_FILE}, which a service writes at its first start. The "
            "volume of `fitstop up` is the folder `volume` in its data folder"
        )
    return parse_document(content, VolumeMarker, MARKER_FILE).id


def check_apart(source: Store, target: Store) -> None:
    """Raise CopyRefused if one of the places is, or is inside, the other one."""
    one, other = f"{source.place}/", f"{target.place}/"
    if one.startswith(other) or other.startswith(one):
        raise CopyRefused(
            f"{source.place} and {target.place} overlap; choose two places that do not contain each other"
        )


def check_target(target: Store) -> None:
    """Raise CopyRefused if the place is not empty and has no unfinished copy."""
    has_record = target.read(COPY_FILE) is not None
    if target.read(MARKER_FILE) is not None and not (has_record and target.keeps_times):
        raise CopyRefused(f"{target.place} already holds a whole volume; copy into an empty place")
    if not has_record and (first := next((entry for entry in target.list() if is_of_volume(entry.name)), None)):
        raise CopyRefused(f"{target.place} is not empty: it holds {first.name!r}; copy into an empty place")


def check_idle(source: Store, seconds: float = _SHOWN_SECONDS) -> None:
    """Raise CopyRefused if a worker is alive. A card that does not change belongs to a killed worker."""
    before = set(source.list(_WORKERS))
    end = time.monotonic() + seconds
    while before and time.monotonic() < end:
        time.sleep(_LOOK_SECONDS)
        changed = sorted({entry.name for entry in set(source.list(_WORKERS)) - before})
        if changed:
            worker = changed[0].rpartition("/")[2].removesuffix(".json")
            raise CopyRefused(f"{source.place} is in use by the worker {worker}; stop the service first: fitstop down")


def list_files(source: Store) -> list[Entry]:
    """The files to copy: all except workers' cards, hints, reservations, unfinished uploads and removed folders."""
    return [entry for entry in source.list() if is_of_volume(entry.name) and _is_kept(entry.name)]


def is_of_volume(name: str) -> bool:
    """Whether a file is part of the volume, rather than of a copy's record or of a trial."""
    return not name.startswith((f"{COPY_FOLDER}/", f"{TRIAL_FOLDER}/"))


def _is_kept(name: str) -> bool:
    # `deleted` has the names of removed jobs, which are copied, and folders that are being removed.
    is_removed = name.startswith("deleted/") and name.count("/") > 1
    # Only for processes that share a bucket.
    is_of_bucket = name.startswith(f"{CHANGED}/") or is_reservation(name)
    return not (is_removed or is_of_bucket or name.startswith((f"{_WORKERS}/", "datasets/.partial-")))
