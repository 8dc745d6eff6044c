"""Two uploads of one name: one wins, and what a killed or failed upload has left is taken over."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.mirror.attached import detach
from shared.mirror.known import KnownFiles
from shared.mirror.mirror import Mirror
from shared.mirror.reservations import Reservations
from shared.store.folder import FolderStore
from shared.store.interface import NoAnswer

_OF_ANOTHER_PROCESS = """
import sys
from pathlib import Path
from shared.mirror.reservations import Reservations
from shared.store.folder import FolderStore
print(Reservations(FolderStore(Path(sys.argv[1]))).reserve("datasets/d"))
"""


@pytest.fixture
def store(tmp_path):
    return FolderStore(tmp_path / "bucket")


@pytest.fixture
def api(tmp_path, store):
    """Make the mirrors of APIs on one bucket."""
    found = []

    def make(name):
        found.append(Mirror(tmp_path / name, store, KnownFiles(tmp_path / f"{name}.sqlite")))
        return found[-1]

    yield make
    for one in found:
        detach(one.root)


def _prepared(mirror, who):
    folder = mirror.root / f".incoming-{who}"
    folder.mkdir(parents=True)
    (folder / "data.parquet").write_text(who)
    (folder / "dataset.json").write_text(json.dumps({"of": who}))
    (mirror.root / "datasets").mkdir(exist_ok=True)
    return folder


def _names(store):
    return sorted(entry.name for entry in store.list("datasets"))


def test_reservation_of_living_process_stands(store):
    assert Reservations(store).reserve("datasets/d") == "datasets/d/reserved"
    assert Reservations(store).reserve("datasets/d") is None


def test_reservation_of_process_that_has_ended_goes_to_one_of_many(store):
    command = [sys.executable, "-c", _OF_ANOTHER_PROCESS, str(store.place)]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.split() == ["datasets/d/reserved"]
    with ThreadPoolExecutor(8) as pool:
        places = list(pool.map(lambda _: Reservations(store).reserve("datasets/d"), range(8)))
    assert len([place for place in places if place is not None]) == 1


def test_of_two_apis_one_publishes_and_the_other_sees_its_data(store, api):
    one, other = api("one"), api("other")
    prepared = [(mirror, _prepared(mirror, name)) for mirror, name in ((one, "one"), (other, "other"))]
    with ThreadPoolExecutor(2) as pool:
        has_won = list(pool.map(lambda pair: pair[0].publish(pair[1], pair[0].root / "datasets/d"), prepared))
    assert sorted(has_won) == [False, True]
    winner = ("one", "other")[has_won.index(True)]
    assert store.read("datasets/d/data.parquet") == winner.encode()
    other.refresh(other.root / "datasets/d")
    assert json.loads((other.root / "datasets/d/dataset.json").read_text()) == {"of": winner}
    late = api("late")
    assert not late.publish(_prepared(late, "late"), late.root / "datasets/d")


def test_upload_that_failed_is_repeated_through_any_api(store, api, monkeypatch):
    one, other = api("one"), api("other")
    prepared = _prepared(one, "one")
    with monkeypatch.context() as patch:
        patch.setattr(FolderStore, "replace", _fail)
        with pytest.raises(OSError, match="away"):
            one.publish(prepared, one.root / "datasets/d")
    assert not other.publish(_prepared(other, "other"), other.root / "datasets/d"), "it may still be going on"
    one.send_hints()
    assert other.publish(_prepared(other, "again"), other.root / "datasets/d")
    assert store.read("datasets/d/data.parquet") == b"again"
    one.remove_folder(one.root / "datasets/d")
    assert not _names(store)


def _fail(*_):
    raise NoAnswer("the bucket is away")


def test_reservation_whose_create_got_no_answer_is_given_up_with_the_next_look(store, monkeypatch):
    lost = Reservations(store)
    create = store.create

    def create_and_lose_the_answer(name, content):
        create(name, content)
        raise NoAnswer("no answer")

    with monkeypatch.context() as network:
        network.setattr(store, "create", create_and_lose_the_answer)
        with pytest.raises(NoAnswer):
            lost.reserve("datasets/d")
    assert Reservations(store).reserve("datasets/d") is None
    lost.send()
    assert Reservations(store).reserve("datasets/d") is not None
    lost.send()
    assert Reservations(store).reserve("datasets/d") is None, "what another upload has reserved since stays"
