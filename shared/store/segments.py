"""An append-only log in a store whose files never grow: numbered segments in a folder, each created exclusively."""

from collections.abc import Iterator

from shared.problems import FitstopError
from shared.store.interface import Store


class Overtaken(FitstopError):
    """Another process appends, too, but only one writer at a time is allowed."""

    code = "overtaken"


class Segments:
    """The segments in `folder`, in the order in which they were appended. One writer at a time appends."""

    def __init__(self, store: Store, folder: str) -> None:
        self._store = store
        self._folder = folder
        self._names = sorted(entry.name for entry in store.list(folder))

    def append(self, content: bytes) -> None:
        """Append a segment. When this returns, it is durable. Raises Overtaken if another writer was faster."""
        name = f"{self._folder}/{len(self._names) + 1:08d}"
        if not self._store.create(name, content):
            raise Overtaken(f"another process has written {name} in {self._store.place}")
        self._names.append(name)

    def read_all(self) -> Iterator[bytes]:
        """Yield the content of each segment, in order."""
        for name in self._names:
            content = self._store.read(name)
            assert content is not None, name
            yield content

    def remove(self) -> None:
        """Remove all segments, the newest first, so that a kill leaves the first ones without a gap."""
        while self._names:
            self._store.remove(self._names[-1])
            self._names.pop()
