"""The machines of a test and the volume that they share: a folder, or a bucket for which each has its own folder."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.job_folder import AttemptFolder
from shared.mirror.attached import detach
from shared.mirror.known import KnownFiles
from shared.mirror.local_folder import for_readers, for_workers
from shared.mirror.mirror import Mirror
from shared.mirror.pull import Puller, everything
from shared.store.bucket import BucketStore
from shared.volume import Volume
from worker.supervisor.bucket import Wanted
from worker.supervisor.uploads import Uploads


class Machines:
    """`volume`: the API's volume. `open_store` opens the bucket; without it, all machines have the same folder."""

    def __init__(self, folder: Path, open_store: Callable[[], BucketStore] | None = None) -> None:
        self._folder = folder
        self._open_store = open_store
        self._pullers: dict[Path, Puller] = {}
        self._count = 0
        self.volume = self._open(folder / "volume")

    @property
    def has_bucket(self) -> bool:
        return self._open_store is not None

    @property
    def address(self) -> str:
        """The value of FITSTOP_VOLUME for a process on this volume."""
        return self._open_store().place if self._open_store is not None else str(self.volume.root)

    def add(self) -> Volume:
        """Add a machine with a worker, which has just looked, and return the volume as it sees it."""
        return self._open(self._new_root(), is_worker=True)

    def add_reader(self) -> Volume:
        """Add a machine with an API, which has the whole volume, and return the volume as it sees it."""
        return self._open(self._new_root())

    def look(self, only: Volume | None = None, *, at_everything: bool = False) -> None:
        """Make each machine, or `only` this one, see the changes of all others.

        `at_everything`: also the last changes of killed processes, which others see only at a look at everything.
        """
        for puller in self._pullers.values():
            puller._mirror.send_hints()
        for root, puller in self._pullers.items():
            if only is None or only.root == root:
                if at_everything:
                    puller._next_everything = 0
                assert puller.look(), puller._mirror.trouble

    def die(self, volume: Volume) -> Volume:
        """Restart a machine's process, and return its volume: an API keeps its folder, a worker has a new one."""
        if volume.root not in self._pullers:
            return volume
        self.lose(volume)
        if volume.root != self.volume.root:
            return self.add()
        self.volume = self._open(volume.root)
        return self.volume

    def lose(self, volume: Volume) -> None:
        """Remove the machine. Does nothing without a bucket, because then all machines have the same folder."""
        if volume.root in self._pullers:
            self._close(volume.root)

    def upload(self, folder: Path) -> None:
        """Upload what was written into a machine's folder without its mirror, as a training process does."""
        for root, puller in self._pullers.items():
            if folder.is_relative_to(root):
                puller._mirror.upload_folder(folder)

    def end(self) -> None:
        """Close everything."""
        for root in list(self._pullers):
            self._close(root)

    def _close(self, root: Path) -> None:
        puller = self._pullers.pop(root)
        detach(root)
        if puller._turn is not None:
            os.close(puller._turn)
        puller._mirror.pool.shutdown()
        puller._mirror.known.close()

    def _new_root(self) -> Path:
        self._count += 1
        return self._folder / f"machine-{self._count}"

    def _open(self, root: Path, *, is_worker: bool = False) -> Volume:
        if self._open_store is None:
            return Volume(self._folder / "volume")
        root.mkdir(parents=True, exist_ok=True)
        known = KnownFiles(root.with_name(f"{root.name}.sqlite"))
        mirror = Mirror(root, self._open_store(), known, for_workers if is_worker else for_readers)
        puller = Puller(mirror, Wanted(root).wants if is_worker else everything, always=())
        assert puller.look(), mirror.trouble
        self._pullers[root] = puller
        return Volume(root)


@contextmanager
def uploads_of(attempt: AttemptFolder) -> Iterator[None]:
    """Upload what is written into the attempt's folder in the `with` block, as a worker does, but more often."""
    uploads = Uploads(Volume(attempt.volume_root), attempt, seconds=0.05)
    uploads.begin()
    yield
    uploads.upload_all()
    uploads.end(is_ours=True)
