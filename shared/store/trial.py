"""`python -m shared.store.trial ADDRESS`: whether a bucket can hold a volume, as JSON {name, status, detail, fix}.

The main requirement is an exclusive create, `PUT` with `If-None-Match: *`: some servers ignore the condition and report
success to every writer, and others check it without locking the object. The trial writes below a name of its own and
removes everything afterwards.
"""

import json
import secrets
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from shared.problems import FitstopError
from shared.store.bucket import BucketStore
from shared.store.interface import StoreError
from shared.store.opening import PATIENCE, open_bucket

WRITERS = 16
# Everything that a trial writes is below it.
TRIAL_FOLDER = ".fitstop-trial"
ROUNDS = 20
_LISTS = 5

Finding = dict[str, str]


class Unfit(StoreError):
    """The bucket lacks something that a volume needs. `fix` says what to do."""

    code = "unfit_bucket"

    def __init__(self, reason: str, fix: str) -> None:
        self.fix = fix
        super().__init__(reason)


def main(address: str) -> int:
    """Print the finding. The exit status is always 0."""
    print(json.dumps(look_at_bucket(address)))  # noqa: T201
    return 0


def look_at_bucket(address: str, rounds: int = ROUNDS) -> Finding:
    """Whether the bucket can hold a volume, or what prevents it and how to fix that."""
    try:
        store = open_bucket(address, retries=PATIENCE)
        began = time.monotonic()
        try_bucket(store, rounds)
    except Unfit as error:
        return _finding("problem", str(error), error.fix)
    except FitstopError as error:
        return _finding("problem", str(error), "docs/buckets.md says which variables name the bucket and its keys")
    seconds = time.monotonic() - began
    return _finding(
        "ok",
        f"{store.place}: {WRITERS} writers raced {rounds} times, one won each time; lists are current; {seconds:.1f} s",
    )


def try_bucket(store: BucketStore, rounds: int = ROUNDS) -> None:
    """Raise Unfit if the bucket lacks something that a volume needs, and StoreError if it cannot be used."""
    with _own_folder(store) as folder:
        _try_condition(store, f"{folder}/condition")
        _try_token(store, f"{folder}/token")
        _try_lists(store, f"{folder}/lists")
        for number in range(rounds):
            _race(store, f"{folder}/race-{number}")


@contextmanager
def _own_folder(store: BucketStore) -> Iterator[str]:
    folder = f"{TRIAL_FOLDER}/{secrets.token_hex(6)}"
    try:
        yield folder
    finally:
        for entry in list(store.list(folder)):
            store.remove(entry.name)


def _try_condition(store: BucketStore, name: str) -> None:
    _expect(store.create(name, b"first"), "an exclusive create of a new object was refused", _NOT_S3)
    if store.create(name, b"second") or store.read(name) != b"first":
        raise Unfit(
            f"{store.place} ignores If-None-Match: a second exclusive create replaced the first one's object",
            "use a server that honours conditional writes, such as Amazon S3, Cloudflare R2 or SeaweedFS",
        )


def _try_token(store: BucketStore, name: str) -> None:
    """Check that a create whose answer was lost is recognized by its token."""
    store.create_as(name, b"", "a")
    fix = "use a server that keeps the metadata of objects (x-amz-meta-…)"
    reason = f"{store.place} keeps no metadata: a create whose answer was lost could not be recognised"
    _expect(store.create_as(name, b"", "a"), reason, fix)


def _try_lists(store: BucketStore, folder: str) -> None:
    """Check that the next list and read show what was written, and not what was removed."""
    for number in range(_LISTS):
        name = f"{folder}/{number}"
        store.replace(name, [b"before"])
        store.replace(name, [b"after"])
        _expect(store.read(name) == b"after", f"{store.place} gave an old object after it had been replaced", _STRONG)
        _expect(_lists(store, folder, name), f"{store.place} did not list an object that had been written", _STRONG)
        store.remove(name)
        _expect(store.read(name) is None, f"{store.place} gave an object that had been removed", _STRONG)
        _expect(not _lists(store, folder, name), f"{store.place} listed an object that had been removed", _STRONG)


def _lists(store: BucketStore, folder: str, name: str) -> bool:
    return any(entry.name == name for entry in store.list(folder))


def _race(store: BucketStore, name: str) -> None:
    """Race several writers for one object: one wins, and the object is the winner's."""
    start = threading.Barrier(WRITERS)

    def write(number: int) -> bool:
        start.wait()
        return store.create(name, str(number).encode())

    with ThreadPoolExecutor(WRITERS) as pool:
        won = [number for number, has_won in enumerate(pool.map(write, range(WRITERS))) if has_won]
    fix = "use a server whose conditional writes are atomic, such as Amazon S3, Cloudflare R2 or SeaweedFS"
    _expect(len(won) == 1, f"{store.place}: {len(won)} of {WRITERS} writers won a race for one object", fix)
    _expect(store.read(name) == str(won[0]).encode(), f"{store.place} keeps the object of who lost the race", fix)


def _expect(holds: bool, reason: str, fix: str) -> None:  # noqa: FBT001
    if not holds:
        raise Unfit(reason, fix)


def _finding(status: str, detail: str, fix: str = "") -> Finding:
    return {"name": "bucket", "status": status, "detail": detail, "fix": fix}


_NOT_S3 = "use a server that is compatible with S3"
_STRONG = "use a server with strong consistency, and no cache or replica before the bucket"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
