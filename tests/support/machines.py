"""Machines, each with its own folder, and one bucket."""

from collections.abc import Callable, Iterator
from pathlib import Path

from shared.durable import is_temporary, make_folder
from shared.mirror.known import KnownFiles
from shared.mirror.mirror import Mirror
from shared.mirror.pull import Puller
from shared.store.folder import FolderStore

JOB = "jobs/ab/job_ab"


class Machine:
    """The folder of a process of the service that has its volume in a bucket."""

    def __init__(self, root: Path, store: FolderStore, **options: object) -> None:
        root.mkdir(parents=True)
        self.root = root
        self.mirror = Mirror(root, store, KnownFiles(root.with_name(f"{root.name}.sqlite")), **options)  # type: ignore[arg-type]
        self.puller = Puller(self.mirror)

    def look(self, *, at_everything: bool = False) -> None:
        if at_everything:
            self.puller._next_everything = 0
        assert self.puller.look(), self.mirror.trouble

    def files(self) -> dict[str, bytes]:
        found = (path for path in self.root.rglob("*") if path.is_file() and not is_temporary(path))
        return {str(path.relative_to(self.root)): path.read_bytes() for path in found}

    def place(self, name: str) -> Path:
        path = self.root / name
        make_folder(path.parent)
        return path


# Makes a machine.
Machines = Callable[..., Machine]


class Meanwhile(FolderStore):
    """A store that calls `act` once in the middle of a request, before the first piece arrives."""

    act: Callable[[], object] | None = None

    def stream(self, name: str) -> Iterator[bytes]:
        content = b"".join(super().stream(name))
        self._act()
        yield content

    def read(self, name: str) -> bytes | None:
        content = super().read(name)
        self._act()
        return content

    def read_range(self, name: str, start: int, length: int) -> bytes:
        content = super().read_range(name, start, length)
        self._act()
        return content

    def list(self, folder: str = "") -> Iterator:  # type: ignore[type-arg]
        found = list(super().list(folder))
        if folder == JOB:
            self._act()
        return iter(found)

    def _act(self) -> None:
        act, self.act = self.act, None
        if act is not None:
            act()
