"""After each single upload of an attempt, the bucket has what a kill at some moment would leave on a disk."""

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from random import Random

import pytest

import shared.mirror.late
import shared.mirror.push
from shared.durable import create_file, make_folder, replace_file
from shared.job_folder import AttemptFolder, JobFolder
from shared.mirror.attached import detach
from shared.mirror.known import KnownFiles
from shared.mirror.mirror import Mirror
from shared.mirror.push import AttemptPush, OtherDecision
from shared.stamps import file_stamp
from shared.store.folder import FolderStore
from shared.store.interface import BadName, NoAnswer

EPOCHS = 4
LONG = "/".join("é" * 100 for _ in range(2))


class Scene:
    """An attempt and its training process; each step is one change that the process makes to its folder."""

    def __init__(self, root: Path, store: FolderStore) -> None:
        make_folder(root)
        self.mirror = Mirror(root, store, KnownFiles(root.with_name("known.sqlite")))
        self.attempt = AttemptFolder(root / "jobs/ab/job_ab/attempts/1", 1)
        make_folder(self.attempt.path)
        create_file(self.attempt.claim_file, b"{}")
        # From here on, act as the training process, which has no bucket.
        detach(root)
        for folder in (self.attempt.checkpoints, self.attempt.resume, self.attempt.files / LONG, self.job / "system"):
            make_folder(folder)
        self.push = AttemptPush(self.mirror, self.attempt)
        self.steps = self._steps()

    @property
    def job(self) -> Path:
        return self.attempt.job.path

    def step(self) -> None:
        next(self.steps, lambda: None)()

    def finish(self) -> None:
        for step in self.steps:
            step()

    def _steps(self) -> Iterator[Callable[[], object]]:
        log, folder = self.attempt.training_log, self.attempt.checkpoints
        yield partial(replace_file, self.job / "plan.json", b"{}")
        for epoch in range(1, EPOCHS + 1):
            yield partial(_append, log, f"{epoch}".encode())
            yield partial(_append, log, b",0.5\n")
            yield partial(_append, self.attempt.events_file, f'{{"epoch":{epoch}}}\n'.encode())
            for name in ("a%b", "a/b", f"{LONG}/end", os.fsdecode(b"\xff")):
                yield partial(_append, self.attempt.files / name, f"{name} {epoch}".encode("utf-8", "surrogateescape"))
            yield partial(replace_file, folder / f"{epoch}.keras", f"{epoch}".encode())
            yield partial(replace_file, self.attempt.manifest_file, f"{epoch}.keras".encode())
            yield (folder / f"{epoch - 1}.keras").unlink if epoch > 1 else lambda: None
            yield partial(replace_file, self.attempt.resume / f"point-{epoch}", f"{6 * epoch}".encode())
            yield (self.attempt.resume / f"point-{epoch - 1}").unlink if epoch > 1 else lambda: None
        yield partial(replace_file, self.attempt.evaluation_file, b"{}")
        yield partial(create_file, self.attempt.conclusion_file, b"{}")


def _append(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(content)


class Watched(FolderStore):
    """Looks at the bucket after each request, and lets the training process continue meanwhile."""

    then: Callable[[], None] = staticmethod(lambda: None)

    def replace(self, name: str, pieces: Iterator[bytes], modified_ns: int | None = None) -> None:  # type: ignore[override]
        if name.endswith("/end") and "é" in name:
            raise BadName(name)
        super().replace(name, pieces, modified_ns)
        self._look()

    def remove(self, name: str) -> None:
        super().remove(name)
        self._look()

    def _look(self) -> None:
        found = {entry.name.partition("/attempts/1/")[2]: entry.name for entry in self.list("jobs")}
        log = self.read(found["training_log.csv"]) if "training_log.csv" in found else b""
        assert log is not None
        assert log == b"" or log.endswith(b"\n")
        if "checkpoints/manifest.json" in found:
            named = (self.read(found["checkpoints/manifest.json"]) or b"").decode()
            assert f"checkpoints/{named}" in found, (named, sorted(found))
        for point in (file for name, file in found.items() if name.startswith("resume/")):
            assert int(self.read(point) or b"") <= len(log)
        if "conclusion.json" in found:
            assert {"evaluation.json", f"checkpoints/{EPOCHS}.keras"} <= found.keys()
        self.then()


@pytest.mark.parametrize("seed", range(12))
def test_the_bucket_has_at_each_moment_what_a_kill_leaves_on_a_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    store, chance = Watched(tmp_path / "bucket"), Random(seed)
    scene = Scene(tmp_path / "folder", store)
    share = chance.choice([0.05, 0.3, 0.8])

    def train_on() -> None:
        if chance.random() < share:
            scene.step()

    def look(path: Path | str) -> object:
        train_on()
        return file_stamp(path)

    store.then = train_on
    monkeypatch.setattr(shared.mirror.push, "file_stamp", look)
    for _ in range(15):
        scene.push.push()
        scene.step()
    scene.finish()
    scene.push.push(is_last=True)
    scene.push.push(is_last=True)
    there = {entry.name: store.read(entry.name) for entry in store.list("jobs")}
    here = {
        str(path.relative_to(scene.mirror.root)): path.read_bytes() for path in scene.job.rglob("*") if path.is_file()
    }
    assert there == {name: content for name, content in here.items() if not name.endswith("/end")}


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    scene = Scene(tmp_path / "folder", Watched(tmp_path / "bucket"))
    scene.finish()
    scene.push.push(is_last=True)
    return scene


def test_a_folder_that_vanishes_takes_nothing_out_of_the_bucket(scene: Scene) -> None:
    before = sorted(entry.name for entry in scene.mirror.store.list("jobs"))
    for path in sorted(scene.job.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    scene.push.push(is_last=True)
    assert sorted(entry.name for entry in scene.mirror.store.list("jobs")) == before


def test_a_file_of_an_earlier_attempt_that_a_look_takes_away_stays_in_the_bucket(scene: Scene) -> None:
    store, name = scene.mirror.store, scene.mirror.name_of(scene.attempt.checkpoints / f"{EPOCHS}.keras")
    store.create("jobs/ab/job_ab/spec.json", b"{}")
    later = AttemptFolder(scene.job / "attempts/2", 2)
    make_folder(later.path)
    later.claim_file.write_bytes(b"{}")
    scene.push.finish()
    push = AttemptPush(scene.mirror, later)
    store.replace(name, [b"k" * (1024**2 + 1)])
    scene.mirror.release(scene.mirror.name_of(scene.attempt.path))
    scene.mirror.refresh(JobFolder(scene.job).path)
    assert not (scene.mirror.root / name).exists()
    push.push(is_last=True)
    assert name in {entry.name for entry in store.list("jobs")}


def test_the_first_plan_of_a_job_stands_and_nothing_comes_of_another_one(scene: Scene) -> None:
    replace_file(scene.job / "plan.json", b"another")
    point = scene.attempt.resume / f"point-{EPOCHS + 1}"
    replace_file(point, b"0")
    for _ in range(2):
        with pytest.raises(OtherDecision):
            scene.push.push(is_last=True)
    assert scene.mirror.store.read("jobs/ab/job_ab/plan.json") == b"{}"
    assert scene.mirror.store.read(scene.mirror.name_of(point)) is None


def test_the_same_plan_is_no_other_decision(scene: Scene) -> None:
    AttemptPush(scene.mirror, scene.attempt).push(is_last=True)


def test_a_resume_point_takes_the_rows_along_that_it_counts_on(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared.mirror.push, "_BYTES_PER_SECOND", 1e-6)
    log, store = scene.attempt.training_log, scene.mirror.store
    for row in (b"a\n", b"b\n"):
        _append(log, row)
        scene.push.push()
    assert not str(store.read(scene.mirror.name_of(log))).endswith("b\\n'"), "a large log is not uploaded each time"
    replace_file(scene.attempt.resume / f"point-{EPOCHS + 1}", b"0")
    scene.push.push()
    assert store.read(scene.mirror.name_of(log)) == log.read_bytes()


def test_a_conclusion_is_the_last_word(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    uploaded: list[str] = []
    ours = scene.mirror.store.replace
    monkeypatch.setattr(scene.mirror.store, "replace", lambda name, pieces: uploaded.append(name) or ours(name, pieces))
    AttemptPush(scene.mirror, scene.attempt).push(is_last=True)
    signs = [name.rpartition("/")[2] for name in uploaded][-3:]
    assert signs == [f"point-{EPOCHS}", "manifest.json", "conclusion.json"]


# An upload that was given up, and that the server carries out after a newer one.


class Late(FolderStore):
    """Gives up the next request, which `arrive` carries out later."""

    arrive: Callable[[], object] | None = None
    gives_up = False

    def replace(self, name: str, pieces: Iterable[bytes], modified_ns: int | None = None) -> None:
        content = b"".join(pieces)
        self._ask(partial(super().replace, name, [content], modified_ns))

    def remove(self, name: str) -> None:
        self._ask(partial(super().remove, name))

    def _ask(self, act: Callable[[], object]) -> None:
        if not self.gives_up:
            act()
            return
        self.arrive, self.gives_up = act, False
        raise NoAnswer("no answer")


@pytest.fixture
def late(tmp_path: Path) -> tuple[Scene, Late]:
    store = Late(tmp_path / "bucket")
    scene = Scene(tmp_path / "folder", store)
    scene.push.push(is_last=True)
    return scene, store


def give_up(scene: Scene, store: Late) -> None:
    store.gives_up = True
    with pytest.raises(NoAnswer):
        scene.push.push(is_last=True)


def arrive(scene: Scene, store: Late, monkeypatch: pytest.MonkeyPatch) -> None:
    """Carry out the late request, then upload until no other one can come."""
    assert not scene.push.is_settled()
    assert store.arrive is not None
    store.arrive()
    scene.push.push(is_last=True)
    assert not scene.push.is_settled(), "another one may be under way"
    monkeypatch.setattr(shared.mirror.late, "LATE_SECONDS", 0)
    scene.push.push(is_last=True)
    assert scene.push.is_settled()


def test_an_older_log_that_arrives_late_does_not_stay(
    late: tuple[Scene, Late], monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, store = late
    log = scene.attempt.events_file
    _append(log, b"1\n")
    give_up(scene, store)
    _append(log, b"2\n")
    scene.push.push(is_last=True)
    arrive(scene, store, monkeypatch)
    assert store.read(scene.mirror.name_of(log)) == b"1\n2\n"


def test_an_upload_that_arrives_late_brings_no_file_back(
    late: tuple[Scene, Late], monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, store = late
    file = scene.attempt.files / "a"
    file.write_bytes(b"1")
    give_up(scene, store)
    scene.push.push(is_last=True)
    file.unlink()
    scene.push.push(is_last=True)
    arrive(scene, store, monkeypatch)
    assert store.read(scene.mirror.name_of(file)) is None


def test_a_removal_that_arrives_late_takes_no_file_away(
    late: tuple[Scene, Late], monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, store = late
    file = scene.attempt.files / "a"
    file.write_bytes(b"1")
    scene.push.push(is_last=True)
    file.unlink()
    give_up(scene, store)
    file.write_bytes(b"2")
    scene.push.push(is_last=True)
    arrive(scene, store, monkeypatch)
    assert store.read(scene.mirror.name_of(file)) == b"2"


def test_uploads_of_an_attempt_that_was_given_up_remove_nothing(late: tuple[Scene, Late]) -> None:
    scene, store = late
    file = scene.attempt.files / "a"
    file.write_bytes(b"1")
    scene.push.push(is_last=True)
    claim = scene.attempt.claim_file.read_bytes()
    scene.mirror.discard(scene.attempt.path)
    # A look downloads it again.
    make_folder(scene.attempt.path)
    scene.attempt.claim_file.write_bytes(claim)
    scene.push.push(is_last=True)
    assert store.read(scene.mirror.name_of(file)) == b"1"


def test_an_upload_that_is_repeated_unchanged_leaves_nothing_to_wait_for(late: tuple[Scene, Late]) -> None:
    scene, store = late
    _append(scene.attempt.events_file, b"1\n")
    give_up(scene, store)
    scene.push.push(is_last=True)
    assert scene.push.is_settled()
