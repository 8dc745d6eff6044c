"""The rules that keep folders and a bucket the same, one at a time: each test fails if its rule is removed."""

import json
import shutil
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import pytest

import shared.mirror.mirror
from shared.durable import create_file, remove_name, remove_tree, replace_file
from shared.mirror.local_folder import for_workers
from shared.mirror.pull import Puller
from shared.store.folder import FolderStore
from shared.store.interface import NoAnswer
from tests.support.machines import JOB, Machine, Machines, Meanwhile

ATTEMPT = f"{JOB}/attempts/1"
LARGE = 1024**2 + 1


def prepare(at: Machine, content: bytes = b"rows") -> Path:
    prepared = at.place("datasets/.incoming/1/data.parquet").parent
    (prepared / "data.parquet").write_bytes(content)
    (prepared / "dataset.json").write_bytes(b"{}")
    at.place("datasets/d").parent.mkdir(exist_ok=True)
    return prepared


# Downloads and removals.


def test_what_is_replaced_while_it_is_brought_is_brought_as_it_is_then(here: Machine, store: Meanwhile) -> None:
    name = f"{ATTEMPT}/checkpoints/best.keras"
    store.replace(name, [b"1" * LARGE])
    here.look(at_everything=True)

    def replace() -> None:
        store.replace(name, [b"2" * (LARGE + 1)])
        here.puller.look_at(JOB)

    store.act = replace
    here.mirror.bring(here.root / JOB)
    assert (here.root / name).read_bytes() == b"2" * (LARGE + 1)


def test_what_only_this_machine_has_beside_attempts_stays(here: Machine, store: Meanwhile) -> None:
    store.replace("datasets/d/dataset.json", [b"{}"])
    here.place("datasets/d/cache").write_bytes(b"mine")
    here.mirror.bring(here.root / "datasets/d")
    assert (here.root / "datasets/d/cache").exists()


@pytest.mark.parametrize("how", ["bring", "refresh", "look", "drop"])
def test_nothing_takes_away_what_an_attempt_of_this_machine_writes(here: Machine, how: str) -> None:
    assert create_file(here.place(f"{ATTEMPT}/claim.json"), b"{}")
    here.place(f"{ATTEMPT}/events.jsonl").write_bytes(b"not uploaded")
    if how == "look":
        here.look(at_everything=True)
    elif how == "drop":
        here.puller._wants = lambda *_: False
        here.look(at_everything=True)
    else:
        getattr(here.mirror, how)(here.root / JOB)
    assert (here.root / f"{ATTEMPT}/events.jsonl").exists()
    assert (here.root / f"{ATTEMPT}/claim.json").exists()


def test_an_end_that_others_have_written_is_seen_by_the_attempts_own_machine(here: Machine, store: Meanwhile) -> None:
    assert create_file(here.place(f"{ATTEMPT}/claim.json"), b"{}")
    store.create(f"{ATTEMPT}/end.json", b"{}")
    here.look(at_everything=True)
    assert (here.root / f"{ATTEMPT}/end.json").exists()


def test_an_attempt_that_this_machine_has_ended_is_looked_at_as_any_other(here: Machine, store: Meanwhile) -> None:
    for name in ("claim.json", "end.json"):
        assert create_file(here.place(f"{ATTEMPT}/{name}"), b"{}")
    store.replace(f"{ATTEMPT}/events.jsonl", [b"{}\n"])
    here.look(at_everything=True)
    assert (here.root / f"{ATTEMPT}/events.jsonl").exists()


def test_a_job_that_is_deleted_stops_to_exist_first_of_all_and_goes_whole(here: Machine, store: Meanwhile) -> None:
    for name in ("events.jsonl", "claim.json"):
        store.replace(f"{ATTEMPT}/{name}", [b"{}\n"])
    here.look(at_everything=True)
    here.place(f"{ATTEMPT}/cache").write_bytes(b"mine")
    for entry in list(FolderStore(store.root).list(JOB)):
        store.remove(entry.name)
    gone, ours = [], here.mirror.known.change

    def change(name: str, *rest: object) -> bool:
        gone.append(name)
        return ours(name, *rest)  # type: ignore[arg-type]

    here.mirror.known.change = change  # type: ignore[method-assign]
    here.look(at_everything=True)
    assert gone[0] == f"{JOB}/spec.json"
    assert not (here.root / JOB).exists()


def test_a_file_that_was_removed_from_the_folder_is_brought_again(here: Machine) -> None:
    (here.root / f"{JOB}/spec.json").unlink()
    here.look(at_everything=True)
    assert (here.root / f"{JOB}/spec.json").exists()


def test_a_file_that_is_removed_while_a_look_brings_it_is_no_trouble(here: Machine, store: Meanwhile) -> None:
    store.replace(f"{JOB}/note.json", [b"{}"])
    store.act = partial(FolderStore(store.root).remove, f"{JOB}/note.json")
    here.puller.look_at(JOB)
    assert not (here.root / f"{JOB}/note.json").exists()


@pytest.mark.parametrize("content", [b"x\n", b"x\ny\nz\n"])
def test_a_log_that_is_another_one_is_brought_whole(here: Machine, store: Meanwhile, content: bytes) -> None:
    log = f"{ATTEMPT}/events.jsonl"
    store.replace(log, [b"a\nb\n"])
    here.look(at_everything=True)
    (here.root / log).write_bytes(b"half")
    (here.root / log).write_bytes(b"a")
    store.replace(log, [content])
    here.look(at_everything=True)
    assert (here.root / log).read_bytes() == content


def test_a_look_that_read_a_file_before_it_was_removed_here_does_not_bring_it_back(
    here: Machine, store: Meanwhile
) -> None:
    name = f"{JOB}/note.json"
    store.replace(name, [b"1"])
    here.look(at_everything=True)
    store.replace(name, [b"22"])
    store.act = lambda: setattr(store, "act", partial(remove_name, here.root / name))
    here.puller.look_at(JOB)
    assert not (here.root / name).exists()


def test_a_name_that_another_machine_had_taken_goes_with_it(
    here: Machine, machines: Machines, store: Meanwhile
) -> None:
    other, name = machines(store), f"{JOB}/cancel.json"
    assert create_file(other.place(name), b"{}")
    assert not create_file(here.place(name), b"{}")
    remove_name(other.root / name)
    here.look(at_everything=True)
    assert not (here.root / name).exists()


# Datasets, programs and weights.


class Failing(FolderStore):
    """Fails `failures` times; if `is_done`, after it has carried out the request."""

    failures = 0
    is_done = True

    def create(self, name: str, content: bytes) -> bool:
        return bool(self._ask(partial(super().create, name, content)))

    def replace(self, name: str, pieces: Iterable[bytes], modified_ns: int | None = None) -> None:
        self._ask(partial(super().replace, name, pieces, modified_ns))

    def remove(self, name: str) -> None:
        self._ask(partial(super().remove, name))

    def _ask(self, act: Callable[[], object]) -> object:
        if self.failures:
            self.failures -= 1
            if self.is_done:
                act()
            raise NoAnswer("no answer")
        return act()


@pytest.fixture
def failing(tmp_path: Path) -> Failing:
    return Failing(tmp_path / "failing")


def test_what_another_machine_has_published_is_here_when_the_name_is_taken(
    here: Machine, machines: Machines, store: Meanwhile
) -> None:
    other = machines(store)
    assert other.mirror.publish(prepare(other), other.root / "datasets/d")
    assert not here.mirror.publish(prepare(here), here.root / "datasets/d")
    assert (here.root / "datasets/d/dataset.json").exists()


def test_a_name_that_has_no_reservation_is_taken_all_the_same(here: Machine, store: Meanwhile) -> None:
    # As in a copy of a volume that was on a disk.
    store.replace("datasets/d/dataset.json", [b"theirs"])
    assert not here.mirror.publish(prepare(here), here.root / "datasets/d")
    assert store.read("datasets/d/dataset.json") == b"theirs"


def test_an_upload_that_came_to_its_end_before_its_process_did_stands(here: Machine, store: Meanwhile) -> None:
    bucket = FolderStore(store.root)

    def end() -> None:
        bucket.create("datasets/d/dataset.json", b"theirs")
        bucket.create("datasets/d/reserved", json.dumps({"token": "a", "is_given_up": True}).encode())

    store.act = end
    assert not here.mirror.publish(prepare(here), here.root / "datasets/d")
    assert bucket.read("datasets/d/data.parquet") is None


def test_a_dataset_that_was_not_uploaded_whole_does_not_exist(machines: Machines, failing: Failing) -> None:
    here = machines(failing)
    prepared = prepare(here)
    failing.is_done = False
    ours = here.mirror.upload_file

    def upload(path: Path, name: str) -> None:
        failing.failures = 1
        ours(path, name)

    here.mirror.upload_file = upload  # type: ignore[method-assign]
    with pytest.raises(OSError, match="no answer"):
        here.mirror.publish(prepared, here.root / "datasets/d")
    assert failing.read("datasets/d/dataset.json") is None


def test_a_dataset_that_is_not_removed_whole_does_not_exist_any_more(machines: Machines, failing: Failing) -> None:
    here = machines(failing)
    assert here.mirror.publish(prepare(here), here.root / "datasets/d")
    ours, asked = failing.remove, []

    def remove(name: str) -> None:
        asked.append(name)
        failing.failures = len(asked) - 1
        ours(name)

    failing.remove = remove  # type: ignore[method-assign]
    with pytest.raises(OSError, match="no answer"):
        here.mirror.remove_folder(here.root / "datasets/d")
    assert asked[0] == "datasets/d/dataset.json"


def test_a_large_file_that_is_published_once_more_is_not_brought(here: Machine) -> None:
    for _ in range(2):
        assert here.mirror.publish(prepare(here, b"r" * LARGE), here.root / "datasets/d")
        here.look(at_everything=True)
        assert (here.root / "datasets/d/data.parquet").exists()
        here.mirror.remove_folder(here.root / "datasets/d")
        remove_tree(here.root / "datasets/d")


# Hints, cards and trouble.


CHANGES: dict[str, Callable[[Path], object]] = {
    "cancel.json": lambda path: create_file(path, b"{}"),
    "note.json": lambda path: replace_file(path, b"2"),
    "old.json": remove_name,
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_that_got_no_answer_is_hinted_at(machines: Machines, failing: Failing, name: str) -> None:
    here, other = machines(failing), machines(failing)
    for file in ("spec.json", "note.json", "old.json"):
        failing.create(f"{JOB}/{file}", b"{}")
    for one in (here, other):
        one.look(at_everything=True)
    failing.failures = 1
    with pytest.raises(OSError, match="no answer"):
        CHANGES[name](here.root / JOB / name)
    here.look()
    other.look()
    assert other.files().get(f"{JOB}/{name}") == failing.read(f"{JOB}/{name}")


def test_a_hint_that_was_not_sent_is_sent_with_the_next_look(machines: Machines, failing: Failing) -> None:
    here = machines(failing)
    here.mirror.hint(f"{JOB}/spec.json")
    failing.failures, failing.is_done = 1, False
    assert not here.puller.look()
    here.look()
    assert [entry.name for entry in failing.list("changed")] == [f"changed/{JOB}"]


def test_a_change_while_its_hint_is_sent_is_hinted_at_again(machines: Machines, store: Meanwhile) -> None:
    here, ours = machines(store), store.replace

    def replace(name: str, pieces: Iterable[bytes]) -> None:
        ours(name, pieces)
        here.mirror.hint(f"{JOB}/spec.json")

    store.replace = replace  # type: ignore[assignment, method-assign]
    here.mirror.hint(f"{JOB}/spec.json")
    here.mirror.send_hints()
    assert here.mirror._hints == {JOB}


def test_what_others_have_of_an_attempt_is_brought_with_the_look_after_it_was_discarded(here: Machine) -> None:
    assert create_file(here.place(f"{ATTEMPT}/claim.json"), b"{}")
    here.look()
    here.look()
    here.mirror.discard(here.root / ATTEMPT)
    here.look()
    assert (here.root / f"{ATTEMPT}/claim.json").exists()


def test_an_end_that_a_look_brings_while_an_attempt_is_discarded_leaves_nothing_undone(
    here: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert create_file(here.place(f"{ATTEMPT}/claim.json"), b"{}")
    here.mirror.begin_uploads(ATTEMPT)
    here.place(f"{JOB}/plan.json").write_bytes(b"of an attempt that was lost")

    def remove_tree(folder: Path) -> None:
        shutil.rmtree(folder)
        here.place(f"{ATTEMPT}/end.json").write_bytes(b"{}")

    monkeypatch.setattr(shared.mirror.mirror, "remove_tree", remove_tree)
    here.mirror.discard(here.root / ATTEMPT)
    assert not (here.root / f"{JOB}/plan.json").exists()
    assert not here.mirror.owns(here.root / ATTEMPT)


def test_a_workers_card_is_uploaded_once_in_a_while(here: Machine, store: Meanwhile) -> None:
    for content in (b"1", b"2"):
        replace_file(here.place("workers/one.json"), content)
    assert store.read("workers/one.json") == b"1"


def test_a_bucket_that_fails_is_a_volume_that_is_away_until_it_answers(machines: Machines, failing: Failing) -> None:
    here = machines(failing)
    here.mirror.hint(f"{JOB}/spec.json")
    failing.failures = 1
    assert not here.puller.look()
    with pytest.raises(OSError, match="no answer"):
        here.mirror.check()
    here.look()
    here.mirror.check()


def test_of_the_processes_of_one_folder_one_looks_and_the_others_hint(here: Machine, store: Meanwhile) -> None:
    second = Puller(here.mirror)
    store.replace(f"{JOB}/note.json", [b"{}"])
    here.mirror.hint(f"{JOB}/note.json")
    assert second.look()
    assert not (here.root / f"{JOB}/note.json").exists()
    here.look()
    assert (here.root / f"{JOB}/note.json").exists()


def test_a_worker_drops_what_it_does_not_need(machines: Machines, store: Meanwhile) -> None:
    here = machines(store, eager=for_workers)
    here.look(at_everything=True)
    here.puller._wants = lambda *_: False
    here.look(at_everything=True)
    assert not (here.root / JOB).exists()
