"""Machines whose volume is in one bucket, which is a folder here."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shared.mirror.attached import detach
from shared.store.folder import FolderStore
from tests.support.machines import JOB, Machine, Machines, Meanwhile


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Callable[..., Machine]]:
    made: list[Machine] = []

    def make(store: FolderStore | None = None, **options: object) -> Machine:
        root = tmp_path / f"machine-{len(made)}"
        made.append(Machine(root, store or FolderStore(tmp_path / "bucket"), **options))
        return made[-1]

    yield make
    for one in made:
        detach(one.root)
        one.mirror.pool.shutdown()
        one.mirror.pool_of_units.shutdown()
        one.mirror.known.close()


@pytest.fixture
def store(tmp_path: Path) -> Meanwhile:
    store = Meanwhile(tmp_path / "bucket")
    store.create(f"{JOB}/spec.json", b"{}")
    return store


@pytest.fixture
def here(machines: Machines, store: Meanwhile) -> Machine:
    here = machines(store)
    here.look(at_everything=True)
    return here
