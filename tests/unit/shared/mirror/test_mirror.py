"""Several machines with a folder each, and one bucket: whatever they do and whenever they look, all see the same."""

import os
import secrets
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from shared.durable import create_file, make_folder, remove_name, remove_tree, replace_file
from shared.mirror.attached import detach
from shared.mirror.local_folder import for_workers
from shared.mirror.mirror import AT_ONCE, Mirror
from shared.mirror.names import document_of, is_of_volume, unit_of
from shared.store.folder import FolderStore
from shared.store.interface import FileChanged, NoAnswer
from shared.store.trial import TRIAL_FOLDER
from tests.support.bucket import Server
from tests.support.machines import JOB, Machine, Meanwhile

OTHER = "jobs/ab/other_ab"
CREATED = [
    *(f"{JOB}/{name}" for name in ("spec.json", "cancel.json", "result.json", "attempts/1/end.json")),
    f"{OTHER}/spec.json",
    "sweeps/one/sweep.json",
    "sweeps/one/trials/000001.json",
    "turns/1.default",
    "annotated/job_ab.1",
    "deleted/job_ab",
    "open/5-job_ab",
    f"{JOB}/attempts/1/files/ü é/a%b\n.jsonl",
    os.fsdecode(b"jobs/ab/job_ab/attempts/1/files/no-utf8-\xff\xfe"),
    f"{JOB}/attempts/1/files/{'é' * 127}",
]
REPLACED = [f"{JOB}/attempts/1/heartbeat.json", f"{JOB}/attempts/1/training_log.csv", "workers/one.json"]
CONTENTS = st.sampled_from([b"", b"a\n", b"a\nb\n", b"a\nb\nc\n"])
MACHINES = st.sampled_from(range(3))
# Files that machines keep in their folders and not in the bucket.
OF_ONE_MACHINE = ["datasets/.incoming/data", "jobs/ab/.draft", "deleted/probe-1/probe", "jobs/ab/.upload-job_ab/1"]


def shown(bucket: dict[str, bytes]) -> dict[str, bytes]:
    """Return the visible files of a bucket, without those of a unit whose document does not exist."""
    documents = {name: document_of(unit_of(name) or "") for name in bucket}
    return {name: content for name, content in bucket.items() if (documents[name] or name) in bucket}


class Play(RuleBasedStateMachine):
    """Calls on several machines; `bucket` is the expected result."""

    folder: Path

    @initialize()
    def begin(self) -> None:
        self.store = FolderStore(self.folder / secrets.token_hex(6))
        places = [self.folder / f"{self.store.root.name}-{number}" for number in range(3)]
        self.machines = [Machine(place, self.store) for place in places]
        self.bucket: dict[str, bytes] = {}
        for one in self.machines:
            for name in OF_ONE_MACHINE:
                one.place(name).write_bytes(b"mine")

    @rule(at=MACHINES, name=st.sampled_from(CREATED), content=CONTENTS)
    def create(self, at: int, name: str, content: bytes) -> None:
        # Only the name of a marker counts.
        content = b"" if name.startswith("open/") else content
        path = self.machines[at].place(name)
        assert create_file(path, content) is (name not in self.bucket)
        standing = self.bucket.setdefault(name, content)
        assert path.read_bytes() == standing

    @rule(name=st.sampled_from(REPLACED), content=CONTENTS)
    def replace(self, name: str, content: bytes) -> None:
        # One writer for each file.
        one = self.machines[REPLACED.index(name)]
        one.mirror._cards.clear()
        replace_file(one.place(name), content)
        self.bucket[name] = content

    @rule(at=MACHINES, name=st.sampled_from([*CREATED, *REPLACED]))
    def remove(self, at: int, name: str) -> None:
        remove_name(self.machines[at].root / name)
        self.bucket.pop(name, None)

    @rule(at=MACHINES, unit=st.sampled_from(["datasets/d", "models/m"]), content=CONTENTS)
    def publish(self, at: int, unit: str, content: bytes) -> None:
        one, document = self.machines[at], str(document_of(unit))
        prepared = one.place(f"datasets/.incoming/{secrets.token_hex(6)}/arrays/x.npy").parents[1]
        (prepared / "arrays/x.npy").write_bytes(content)
        (prepared / document.rpartition("/")[2]).write_bytes(content)
        make_folder((one.root / unit).parent)
        is_first = document not in self.bucket
        assert one.mirror.publish(prepared, one.root / unit) is is_first
        if is_first:
            self.bucket |= {document: content, f"{unit}/arrays/x.npy": content}
            self.bucket[f"{unit}/reserved"] = self.store.read(f"{unit}/reserved") or b""

    @rule(at=MACHINES, unit=st.sampled_from(["datasets/d", JOB, "sweeps/one"]))
    def remove_folder(self, at: int, unit: str) -> None:
        self.machines[at].mirror.remove_folder(self.machines[at].root / unit)
        remove_tree(self.machines[at].root / unit)
        self.bucket = {name: content for name, content in self.bucket.items() if not name.startswith(f"{unit}/")}

    @rule(at=MACHINES)
    def look(self, at: int) -> None:
        self.machines[at].look()
        for name, content in self.machines[at].files().items():
            assert name in OF_ONE_MACHINE or name.startswith("datasets/.incoming") or is_of_volume(name), name
            # Never half a file, or content that no machine wrote.
            assert content in {b"mine", b"", b"a\n", b"a\nb\n", b"a\nb\nc\n"} or name.endswith("/reserved")

    @rule(at=MACHINES)
    def lose_hints(self, at: int) -> None:
        self.machines[at].mirror._hints.clear()

    def teardown(self) -> None:
        if not hasattr(self, "machines"):
            return
        kept = {f"{name}": b"mine" for name in OF_ONE_MACHINE}
        for one in self.machines:
            one.look(at_everything=True)
            files = {
                name: content for name, content in one.files().items() if "/.incoming/" not in name or name in kept
            }
            assert files == {**shown(self.bucket), **kept}
            detach(one.root)
            one.mirror.pool.shutdown()
            one.mirror.pool_of_units.shutdown()


def test_whatever_machines_do_and_whenever_they_look_they_come_to_the_same(tmp_path: Path) -> None:
    play = type("Here", (Play,), {"folder": tmp_path})
    how = settings(max_examples=15, stateful_step_count=20, deadline=None, phases=[Phase.generate])
    run_state_machine_as_test(play, settings=how)


# A look at the same time as another action.


def test_what_this_process_writes_while_a_look_reads_is_not_undone(
    machines: Callable[..., Machine], store: Meanwhile
) -> None:
    here = machines(store)
    store.replace(f"{JOB}/note.json", [b"old"])
    store.act = lambda: replace_file(here.place(f"{JOB}/note.json"), b"new")
    here.look(at_everything=True)
    assert (here.root / JOB / "note.json").read_bytes() == b"new"


class Together(FolderStore):
    """A slow store: it answers no read of a spec before four have been requested."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._four = threading.Barrier(4, timeout=60)

    def read(self, name: str) -> bytes | None:
        if name.endswith("/spec.json"):
            self._four.wait()
        return super().read(name)


def test_a_look_brings_several_jobs_at_once(machines: Callable[..., Machine], tmp_path: Path) -> None:
    store = Together(tmp_path / "bucket")
    specs = [f"jobs/0{number}/job_0{number}/spec.json" for number in range(8)]
    for name in specs:
        store.create(name, b"{}")
    here = machines(store)
    here.look(at_everything=True)
    assert specs == sorted(here.files())


class Away(FolderStore):
    """A store whose reads fail."""

    asked = 0

    def read(self, name: str) -> bytes | None:
        self.asked += 1
        raise NoAnswer(f"no answer for {name}")


def test_a_look_gives_up_with_the_first_failure(machines: Callable[..., Machine], tmp_path: Path) -> None:
    store = Away(tmp_path / "bucket")
    for number in range(100):
        store.create(f"jobs/{number:02}/job_{number:02}/spec.json", b"{}")
    here = machines(store)
    assert not here.puller.look()
    assert "no answer for jobs/" in here.mirror.trouble
    assert store.asked <= 2 * AT_ONCE


class Replaced(FolderStore):
    """A store with a note that is replaced during every read."""

    def read(self, name: str) -> bytes | None:
        if name.endswith("/note.json"):
            raise FileChanged(f"{name} was replaced while it was read")
        return super().read(name)


def test_a_file_that_is_replaced_while_it_is_read_is_no_failure_of_the_bucket(
    machines: Callable[..., Machine], tmp_path: Path
) -> None:
    store = Replaced(tmp_path / "bucket")
    for name in ("spec.json", "note.json", "result.json"):
        store.create(f"{JOB}/{name}", b"{}")
    here = machines(store)
    here.look(at_everything=True)
    assert sorted(here.files()) == [f"{JOB}/result.json", f"{JOB}/spec.json"]


def test_two_looks_at_one_log_append_it_once(machines: Callable[..., Machine], store: Meanwhile) -> None:
    here, log = machines(store), f"{JOB}/attempts/1/events.jsonl"
    store.replace(log, [b"a\n"])
    here.look(at_everything=True)
    store.replace(log, [b"a\nb\n"])
    store.act = lambda: store.__setattr__("act", lambda: here.mirror.refresh(here.root / JOB))
    here.mirror.refresh(here.root / JOB)
    assert (here.root / log).read_bytes() == b"a\nb\n"


def test_a_look_with_an_old_list_removes_nothing_that_came_later(
    machines: Callable[..., Machine], store: Meanwhile
) -> None:
    here, end = machines(store), f"{JOB}/attempts/1/end.json"
    here.look(at_everything=True)

    def end_it() -> None:
        store.create(end, b"{}")
        here.mirror.refresh(here.root / JOB)

    store.act = end_it
    here.puller.look_at(JOB)
    assert (here.root / end).exists()


def test_a_log_that_was_brought_to_count_its_bytes_stays(machines: Callable[..., Machine], store: Meanwhile) -> None:
    here, log = machines(store, eager=for_workers), f"{JOB}/attempts/1/events.jsonl"
    store.replace(log, [b"a\n"])
    here.look(at_everything=True)
    assert not (here.root / log).exists()
    here.mirror.refresh(here.root / JOB)
    store.replace(log, [b"a\nb\n"])
    here.puller.look_at(JOB)
    assert (here.root / log).read_bytes() == b"a\nb\n"


def test_a_published_folder_is_whole_even_where_a_look_has_begun_to_bring_it(
    machines: Callable[..., Machine], store: Meanwhile
) -> None:
    here = machines(store)
    prepared = here.place("datasets/.incoming/1/data.parquet").parent
    (prepared / "data.parquet").write_bytes(b"rows")
    (prepared / "dataset.json").write_bytes(b"{}")
    here.place("datasets/d/data.parquet").write_bytes(b"ro")
    assert here.mirror.publish(prepared, here.root / "datasets/d")
    assert (here.root / "datasets/d/data.parquet").read_bytes() == b"rows"
    assert (here.root / "datasets/d/dataset.json").exists()
    assert not prepared.exists()


def test_a_large_file_that_was_published_here_is_not_brought_again(
    machines: Callable[..., Machine], store: Meanwhile
) -> None:
    here = machines(store)
    prepared = here.place("datasets/.incoming/1/data.parquet").parent
    (prepared / "data.parquet").write_bytes(b"r" * (1024**2 + 1))
    (prepared / "dataset.json").write_bytes(b"{}")
    assert here.mirror.publish(prepared, here.root / "datasets/d")
    here.look(at_everything=True)
    assert (here.root / "datasets/d/data.parquet").exists()


def test_a_large_file_is_brought_as_it_is_now_even_where_it_is_replaced_meanwhile(
    machines: Callable[..., Machine], store: Meanwhile
) -> None:
    here, name = machines(store), f"{JOB}/attempts/1/checkpoints/best.keras"
    store.replace(name, [b"1" * (1024**2 + 1)])
    here.look(at_everything=True)

    def replace() -> None:
        store.replace(name, [b"2" * (1024**2 + 2)])
        here.puller.look_at(JOB)

    store.act = replace
    assert here.mirror.fetch(here.root / name)
    assert (here.root / name).read_bytes() == b"2" * (1024**2 + 2)


def test_no_sign_is_brought_before_what_it_stands_for(machines: Callable[..., Machine], store: Meanwhile) -> None:
    for number in (1, 2):
        for name in ("checkpoints/manifest.json", "checkpoints/a.keras", "events.jsonl", "claim.json", "end.json"):
            store.replace(f"{JOB}/attempts/{number}/{name}", [b"{}"])
    for name in (f"{JOB}/result.json", f"{JOB}/cancel.json", "datasets/d/arrays/x.npy", "datasets/d/dataset.json"):
        store.replace(name, [b"{}"])
    here, brought = machines(store), []
    ours = here.mirror.known.change

    def change(name: str, *rest: object) -> bool:
        brought.append(name)
        return ours(name, *rest)  # type: ignore[arg-type]

    here.mirror.known.change = change  # type: ignore[method-assign]
    here.look(at_everything=True)
    job = [name for name in brought if name.startswith(JOB)]
    assert job[-2:] == [f"{JOB}/result.json", f"{JOB}/spec.json"]
    for number in (1, 2):
        folder = f"{JOB}/attempts/{number}"
        signs = [job.index(f"{folder}/{name}") for name in ("checkpoints/manifest.json", "claim.json", "end.json")]
        assert [*signs, job.index(f"{JOB}/spec.json")] == sorted([*signs, job.index(f"{JOB}/spec.json")])
        assert max(job.index(f"{folder}/{name}") for name in ("events.jsonl", "checkpoints/a.keras")) < signs[0]
    assert brought.index("datasets/d/arrays/x.npy") < brought.index("datasets/d/dataset.json")


def test_what_was_not_uploaded_of_an_attempt_that_others_ended_goes(
    machines: Callable[..., Machine], store: Meanwhile
) -> None:
    here, attempt = machines(store), f"{JOB}/attempts/1"
    here.look(at_everything=True)
    assert create_file(here.place(f"{attempt}/claim.json"), b"{}")
    here.place(f"{attempt}/resume/point-1.bin").write_bytes(b"never uploaded")
    store.create(f"{attempt}/end.json", b"{}")
    here.mirror.discard(here.root / attempt)
    here.look()
    assert not (here.root / attempt / "resume").exists()
    assert (here.root / attempt / "claim.json").exists()
    assert (here.root / attempt / "end.json").exists()


@pytest.mark.parametrize("how", [Mirror.bring, Mirror.refresh])
def test_what_a_process_that_outlived_its_worker_has_written_goes(
    machines: Callable[..., Machine], store: Meanwhile, how: Callable[[Mirror, Path], None]
) -> None:
    here, attempt = machines(store), f"{JOB}/attempts/1"
    store.create(f"{attempt}/claim.json", b"{}")
    here.look(at_everything=True)
    here.place(f"{attempt}/resume/point-1.bin").write_bytes(b"never uploaded")
    how(here.mirror, here.root / JOB)
    assert sorted(here.files()) == [f"{attempt}/claim.json", f"{JOB}/spec.json"]


def test_a_strangers_objects_harm_nobody(machines: Callable[..., Machine], store: Meanwhile) -> None:
    for name in ("notes.txt", "jobs/ab/file", "datasets/file", f"{JOB}/attempts"):
        store.replace(name, [b"stranger's"])
    here = machines(store)
    (here.root / JOB / "attempts/1").mkdir(parents=True)
    here.look(at_everything=True)
    assert here.files() == {f"{JOB}/spec.json": b"{}"}


def test_what_a_stale_worker_uploads_of_a_deleted_job_goes(machines: Callable[..., Machine], store: Meanwhile) -> None:
    here = machines(store)
    here.look(at_everything=True)
    store.remove(f"{JOB}/spec.json")
    store.replace(f"{JOB}/attempts/1/events.jsonl", [b""])
    os.utime(store.root / JOB / "attempts/1/events.jsonl", (0, 0))
    store.replace("turns/1.default", [b""])
    here.look(at_everything=True)
    assert not list(store.list(JOB))
    assert not (here.root / JOB).exists()


def test_what_a_killed_trial_of_the_bucket_has_left_goes(machines: Callable[..., Machine], store: Meanwhile) -> None:
    for name in ("old", "new"):
        store.replace(f"{TRIAL_FOLDER}/{name}/race-0", [b""])
    os.utime(store.root / TRIAL_FOLDER / "old/race-0", (0, 0))
    machines(store).look(at_everything=True)
    assert [entry.name for entry in store.list(TRIAL_FOLDER)] == [f"{TRIAL_FOLDER}/new/race-0"]


def test_a_bucket_of_s3_shows_two_machines_the_same(machines: Callable[..., Machine], s3_server: Server) -> None:
    bucket = s3_server.make_bucket()
    one, two = (machines(s3_server.store(bucket, "some/prefix")) for _ in range(2))
    for name in CREATED:
        assert create_file(one.place(name), name.encode("utf-8", "surrogateescape"))
        assert not create_file(two.place(name), b"second")
    one.look()
    two.look()
    assert two.files() == one.files()
    assert len(two.files()) == len(CREATED)
