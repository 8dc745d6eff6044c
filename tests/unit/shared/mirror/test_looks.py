"""The markers of open jobs, which looks download, and what looks remove from the bucket."""

import os
from collections.abc import Iterable, Iterator

import pytest

from shared.durable import create_file
from shared.store.interface import Entry
from tests.support.machines import JOB, Machine, Meanwhile


def test_a_marker_that_is_made_here_while_a_look_lists_them_stays(here: Machine, store: Meanwhile) -> None:
    ours, marker = store.list, here.place("open/5-job_ab")

    def list_(folder: str = "") -> Iterator[Entry]:
        found = list(ours(folder))
        if folder == "open":
            create_file(marker, b"")
        return iter(found)

    store.list = list_  # type: ignore[method-assign]
    here.look()
    assert marker.exists()


def test_a_job_is_looked_at_when_its_marker_comes_and_when_it_goes(here: Machine, store: Meanwhile) -> None:
    store.replace(f"{JOB}/cancel.json", [b"{}"])
    store.create("open/5-job_ab", b"")
    ours = here.mirror.folder.put

    def put(name: str, pieces: Iterable[bytes]) -> None:
        assert (here.root / f"{JOB}/cancel.json").exists(), "the marker comes after its job"
        ours(name, pieces)

    told: list[str] = []
    here.mirror.folder.put, here.puller.tell = put, told.extend  # type: ignore[method-assign]
    here.look()
    assert (here.root / "open/5-job_ab").exists()
    assert told == ["job_ab"]
    store.replace(f"{JOB}/result.json", [b"{}"])
    store.remove("open/5-job_ab")
    here.look()
    assert (here.root / f"{JOB}/result.json").exists()
    assert not (here.root / "open/5-job_ab").exists()


def test_a_plan_that_is_decided_here_during_a_look_is_not_replaced_by_one_of_a_lost_attempt(
    here: Machine, store: Meanwhile, caplog: pytest.LogCaptureFixture
) -> None:
    plan = here.place(f"{JOB}/plan.json")
    store.create(f"{JOB}/plan.json", b"the lost attempt's")

    def begin() -> None:
        here.mirror.begin_uploads(f"{JOB}/attempts/2")
        # The training process, which has no bucket, writes this.
        plan.write_bytes(b"ours")

    store.act = begin
    here.look(at_everything=True)
    assert plan.read_bytes() == b"ours"
    assert "set aside" not in caplog.text
    here.mirror.discard(here.root / f"{JOB}/attempts/2")
    here.look(at_everything=True)
    assert plan.read_bytes() == b"the lost attempt's"


def test_every_machine_knows_which_volume_it_is(here: Machine, store: Meanwhile) -> None:
    store.create("fitstop-volume.json", b"{}")
    here.puller._wants = lambda *_: False
    here.look(at_everything=True)
    assert (here.root / "fitstop-volume.json").exists()


def test_an_upload_that_is_under_way_is_left_alone_and_one_that_was_left_goes_before_its_reservation(
    here: Machine, store: Meanwhile
) -> None:
    names = ["datasets/d/zeros.npy", "datasets/d/reserved"]
    for name in names:
        store.replace(name, [b"{}"])
    here.look(at_everything=True)
    assert {entry.name for entry in store.list("datasets")} == set(names)
    for name in names:
        os.utime(store.root / name, (0, 0))
    removed, ours = [], store.remove

    def remove(name: str) -> None:
        removed.append(name)
        ours(name)

    store.remove = remove  # type: ignore[method-assign]
    here.look(at_everything=True)
    assert removed == names


def test_old_hints_go_and_new_ones_stay(here: Machine, store: Meanwhile) -> None:
    for name in ("changed/turns", f"changed/{JOB}"):
        store.replace(name, [b"1"])
    os.utime(store.root / "changed/turns", (0, 0))
    here.look()
    assert [entry.name for entry in store.list("changed")] == [f"changed/{JOB}"]
