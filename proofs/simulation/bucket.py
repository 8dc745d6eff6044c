"""A world whose volume is in a bucket: each machine has its own folder, and nothing else is shared.

The bucket fails, repeats a request, loses the answer to one that succeeded, or delays one until its sender has given
up. It never lists late, because `fitstop doctor` refuses a bucket that does. A machine may vanish with its folder.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

from proofs.simulation.eye import Eye, Trainer
from proofs.simulation.kernel import Process
from proofs.simulation.machinery import Disk, Lock, World, before_an_operation
from proofs.simulation.world import FAULT_SECONDS, Child, Nursery, Play
from shared.durable import make_folder, replace_file
from shared.events import EventWriter
from shared.job import EnginePlan
from shared.job_folder import AttemptFolder
from shared.mirror.attached import attach
from shared.mirror.known import Known
from shared.mirror.local_folder import for_readers, for_workers
from shared.mirror.mirror import Mirror
from shared.mirror.opening import bring_marker
from shared.mirror.pull import Puller
from shared.points import points_of
from shared.settings import Settings
from shared.store.interface import Entry, NoAnswer
from shared.volume import Volume
from shared.volume_identity import MARKER_FILE
from worker.supervisor.bucket import Wanted

_VOID = ("jobs", "sweeps", "open", "turns")
_MOST_DELAY_SECONDS = 40.0
_PLAN = EnginePlan(engine="stock", xla=False, threads=1, validation_batch=1, steps_per_epoch=1, reason="")


class Bucket:
    """The objects of a world, and the faults of requests for them."""

    def __init__(self, eye: "BucketEye", chance: Random) -> None:
        self.objects: dict[str, tuple[bytes, Entry]] = {}
        self.eye = eye
        self.chance = chance
        self.fails = True
        # By machine: until then, requests may be lost or late (`away`), or arrive only then (`hangs`).
        self.away_until: dict[str, float] = {}
        self.hangs_until: dict[str, float] = {}
        self.share_failed = chance.choice([0.0, 0.01, 0.05, 0.2])
        self.seconds = chance.choice([0.01, 0.1, 1.0])
        # Requests on their way that will change something, even if their sender no longer waits.
        self.under_way = 0
        self._versions = 0

    def put(self, name: str, content: bytes) -> None:
        self._versions += 1
        self.objects[name] = content, Entry(name, len(content), round(World.kernel.now), str(self._versions))
        self.eye.stores(name)

    def create(self, name: str, content: bytes, sender: str) -> bool:
        if name in self.objects:
            return False
        self.put(name, content)
        if name.endswith("/end.json"):
            self.eye.ends(name.removesuffix("/end.json"), content, sender)
        return True

    def remove(self, name: str) -> None:
        if self.objects.pop(name, None) is not None:
            self.eye.removes(name)

    def ask(self, act: Callable[[], Any], *, changes: bool, may_repeat: bool = True) -> Any:
        """Send a request and wait for the answer. Raises NoAnswer, even if the request was carried out."""
        before_an_operation(changes=False)
        kernel, answer = World.kernel, []
        assert kernel.current is not None
        machine = kernel.current.process.machine
        there = self.chance.random() * self.seconds
        hangs = max(0.0, self.hangs_until.get(machine.name, 0.0) - kernel.now)
        is_away = self.away_until.get(machine.name, 0.0) > kernel.now
        fate = "done"
        if self.fails and (is_away or hangs or self.chance.random() < self.share_failed):
            near = ["answer lost", "late", *(["repeated"] if may_repeat else [])]
            fate = self.chance.choice(["lost", "answer lost", "late"] if is_away else near)
        waits = 2 * there + 1e-6
        if fate == "late":
            there += self.chance.uniform(0, _MOST_DELAY_SECONDS)
        if hangs:
            there, waits = there + hangs, self.chance.uniform(0, _MOST_DELAY_SECONDS)
        # The sender may be dead when its request arrives.
        if fate != "lost":
            self._arrive(there, lambda: answer.append(act()), changes=changes)
        if fate == "repeated" and changes:
            # The first request arrives too, sometimes after the second.
            self._arrive(there + self.chance.uniform(0, 3), act, changes=changes)
        kernel.pause(waits)
        if not answer or fate in {"lost", "answer lost"}:
            raise NoAnswer("no answer from the bucket")
        return answer[0]

    def _arrive(self, seconds: float, act: Callable[[], object], *, changes: bool) -> None:
        self.under_way += changes

        def arrive() -> None:
            self.under_way -= changes
            act()

        World.kernel.at(World.kernel.now + seconds, arrive)


class SimulatedStore:
    """Simulates `shared.store.interface.Store`."""

    keeps_times = False
    place = "s3://simulated"

    def __init__(self, bucket: Bucket, *, may_repeat: bool = True) -> None:
        self._bucket = bucket
        self._may_repeat = may_repeat

    def once(self) -> "SimulatedStore":
        return SimulatedStore(self._bucket, may_repeat=False)

    def create(self, name: str, content: bytes) -> bool:
        task = World.kernel.current
        assert task is not None
        sender = task.process.machine.name
        return bool(self._bucket.ask(lambda: self._bucket.create(name, content, sender), changes=True))

    def replace(self, name: str, pieces: Iterable[bytes], modified_ns: int | None = None) -> None:
        content = b"".join(pieces)
        self._bucket.ask(lambda: self._bucket.put(name, content), changes=True, may_repeat=self._may_repeat)

    def remove(self, name: str) -> None:
        self._bucket.ask(lambda: self._bucket.remove(name), changes=True, may_repeat=self._may_repeat)

    def read(self, name: str) -> bytes | None:
        found: tuple[bytes, Entry] | None = self._bucket.ask(lambda: self._bucket.objects.get(name), changes=False)
        return found and found[0]

    def read_range(self, name: str, start: int, length: int) -> bytes:
        return b"".join(self.stream(name))[start : start + length]

    def stream(self, name: str) -> Iterator[bytes]:
        content = self.read(name)
        if content is None:
            raise FileNotFoundError(name)
        yield content

    def list(self, folder: str = "") -> Iterator[Entry]:
        begin = f"{folder}/" if folder else ""
        objects = self._bucket.objects

        def look() -> list[Entry]:
            return [entry for name, (_, entry) in sorted(objects.items()) if name.startswith(begin)]

        return iter(self._bucket.ask(look, changes=False))

    def remove_leftovers(self) -> None:
        """Do nothing."""


class SimulatedKnown:
    """Simulates `shared.mirror.known.KnownFiles` for one process. `rows` outlive it, as its file does."""

    def __init__(self, rows: dict[str, Known]) -> None:
        self._rows = rows
        self._lock = Lock()

    def below(self, folder: str) -> dict[str, Known]:
        begin = f"{folder}/" if folder else ""
        return {name: known for name, known in self._rows.items() if name.startswith(begin)}

    def find(self, name: str) -> Known | None:
        return self._rows.get(name)

    def put(self, files: Iterable[tuple[str, Known]]) -> None:
        rows = list(files)
        with self._lock:
            self._rows.update(rows)

    def forget(self, names: Iterable[str]) -> None:
        with self._lock:
            for name in list(names):
                self._rows.pop(name, None)

    def change(self, name: str, before: Known | None, after: Known | None, act: Callable[[], object]) -> bool:
        with self._lock:
            if self._rows.get(name) != before:
                return False
            act()
            if after is None:
                self._rows.pop(name, None)
            else:
                self._rows[name] = after
            return True


class SimulatedPuller(Puller):
    """A folder has only one process, so it always has the turn."""

    def _has_turn(self) -> bool:
        return True


class BucketEye(Eye):
    """Sees what happens in the bucket. What happens in a folder concerns only its machine."""

    def __init__(self, root: str, now: Callable[[], float]) -> None:
        super().__init__(root, now)
        # The final files of attempts that their own workers have ended, and the plan by which each attempt trains.
        self._final: dict[str, bytes] = {}
        self._plans: dict[str, str] = {}
        self._signed: set[str] = set()

    def sees(self, operation: str, arguments: tuple[Any, ...]) -> None:
        if self.tell is not None and operation in {"link", "replace", "rename", "unlink"}:
            self.notes(f"{operation} {os.fspath(arguments[-1]).removeprefix(str(Path(self._root).parent))}")

    def stores(self, name: str) -> None:
        self.notes(f"the bucket has {name}")
        # It is uploaded again if the answer was lost.
        if not name.endswith("/conclusion.json"):
            self._placed(f"{self._root}/{name}")

        if name.endswith("/conclusion.json") or "/resume/point-" in name:
            self._signed.add(name.rpartition("/")[0].removesuffix("/resume"))

    def ends(self, attempt: str, end: bytes, machine: str) -> None:
        """Remember the files of an attempt that its own worker has ended. They must not change after that."""
        if b"worker_lost" in end:
            return
        here = Path(self._root).with_name(machine) / attempt
        for name in ("events.jsonl", "training_log.csv", "checkpoints/manifest.json", "conclusion.json"):
            if (here / name).exists():
                content = (here / name).read_bytes()
                self._final[f"{attempt}/{name}"] = content[: content.rfind(b"\n") + 1]

    def decides(self, attempt: AttemptFolder, plan: str) -> None:
        """Remember the plan of a training process."""
        self._plans[f"jobs/{str(attempt.path).partition('/jobs/')[2]}"] = plan

    def judges_the_end(self, volume: Volume, settings: Settings) -> None:
        super().judges_the_end(volume, settings)
        for name, content in self._final.items():
            found = (volume.root / name).read_bytes() if (volume.root / name).exists() else None
            if found != content:
                self._breaks(f"{name} is {found!r} in the end, and its attempt had written {content!r}")
        for attempt in self._signed & self._plans.keys():
            plan = AttemptFolder(volume.root / attempt, 0).job.plan()
            if plan is None or plan.reason != self._plans[attempt]:
                self._breaks(f"{attempt} was computed {self._plans[attempt]}, and the job's plan is {plan}")

    def removes(self, name: str) -> None:
        self.notes(f"the bucket has no {name} any more")
        self._removed(f"{self._root}/{name}")

    def starts(self, trainer: Trainer, folder: str) -> None:
        super().starts(trainer, f"{self._root}/jobs/{folder.partition('/jobs/')[2]}")

    def resumes(self, name: str, bucket: Bucket) -> None:
        """Check that the point from which a training process resumes is in the bucket."""
        if name not in bucket.objects:
            self._breaks(f"{name} was resumed from and is not in the bucket")


class BucketPlay(Play):
    """Like `Play`, with a folder for each machine."""

    def __init__(self, chance: Random, root: Path, settings: Settings) -> None:
        super().__init__(chance, root / "api", settings)
        self._root = root
        World.disk = Disk(0.1, 0.005)
        self.eye = World.eye = BucketEye(str(root / "bucket"), lambda: self.kernel.now)
        self.bucket = Bucket(self.eye, chance)
        self._rows: dict[str, dict[str, Known]] = {}
        self.bucket.put(MARKER_FILE, (self.volume.root / MARKER_FILE).read_bytes())
        self._pool = SimpleNamespace(map=lambda act, items: [act(one) for one in items])
        self._puller = self._open(self._api, self.volume.root)

    def run(self) -> None:
        self.kernel.begin(self._api, self._keep_api, self._api)
        super().run()

    def _again(self, process: Process, work: Callable[[Process], None]) -> Process:
        fresh = super()._again(process, work)
        if fresh.name == self._api.name and fresh is not process:
            self._puller = self._open(fresh, self.volume.root)
        return fresh

    def _keep_api(self, process: Process) -> None:
        self._look(process, self._puller)

    def _work(self, process: Process) -> None:
        root = self._root / process.machine.name
        for name in _VOID:
            shutil.rmtree(root / name, ignore_errors=True)
        self._rows.pop(str(root), None)
        puller = self._open(process, root, wants=Wanted(root).wants, always=(), eager=for_workers)
        while not self._has_begun(puller):
            World.kernel.sleep(1)
        self.kernel.begin(process, self._look, process, puller)
        self._run_worker(process, Volume(root))

    def _has_begun(self, puller: Puller) -> bool:
        try:
            bring_marker(puller._mirror)
        except NoAnswer:
            return False
        return puller.look()

    def _open(self, process: Process, root: Path, *, eager: Any = for_readers, **options: Any) -> Puller:
        process.has_bucket = True
        root.mkdir(parents=True, exist_ok=True)
        known = SimulatedKnown(self._rows.setdefault(str(root), {}))
        mirror = Mirror(root, SimulatedStore(self.bucket), known, eager)  # type: ignore[arg-type]
        mirror.pool = mirror.pool_of_units = mirror.folder._pool = self._pool  # type: ignore[assignment]
        attach(root, mirror)
        return SimulatedPuller(mirror, **options)

    def _look(self, process: Process, puller: Puller) -> None:
        while True:
            self.kernel.sleep(self.settings_of(process.machine).bucket_seconds)
            puller.look()

    def nursery(self, process: Process) -> Nursery:
        return BucketNursery(self, process)

    def faults(self) -> list[tuple[str, Callable[[], None]]]:
        return [*super().faults(), ("machine lost with its folder", self._lose_a_machine)]

    def _hang(self) -> None:
        self.bucket.hangs_until[self._some_worker().machine.name] = self.kernel.now + self._seconds()

    def _fail(self) -> None:
        machine = self.chance.choice([*self._workers, self._api]).machine
        self.bucket.away_until[machine.name] = self.kernel.now + self._seconds()

    def _lose_a_machine(self) -> None:
        machine = self._some_worker().machine
        for process in machine.processes:
            self.kernel.kill(process)
        shutil.rmtree(self._root / machine.name, ignore_errors=True)

    def _supervise(self) -> None:
        self.bucket.fails = self.kernel.now <= FAULT_SECONDS
        super()._supervise()

    def _all_is_quiet(self) -> bool:
        names = self.bucket.objects
        stored = {name.removesuffix("/spec.json") for name in names if name.endswith("/spec.json")}
        marked = {name.partition("-")[2].partition(".")[0] for name in names if name.startswith("open/")}
        training = [trainer for trainer in self.eye.trainers if trainer.process.is_alive]
        if self.bucket.under_way:
            return False
        is_marked = any(job.rpartition("/")[2] in marked for job in stored)
        return not is_marked and not training and all(f"{job}/result.json" in names for job in stored)

    def verdict_volume(self) -> Volume:
        root = self._root / "bucket"
        for name, (content, _) in self.bucket.objects.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
        return Volume(root)


class BucketNursery(Nursery):
    def take(self, _drain: object) -> Child:
        return BucketChild(self._play, self._worker)


class BucketChild(Child):
    def _resume(self, events: EventWriter) -> int:
        play = self._play
        assert isinstance(play, BucketPlay)
        earlier = [one for one in self._attempt.job.attempts() if one.number < self._attempt.number]
        found = next((one for one in reversed(earlier) if points_of(one)), None)
        if found is not None:
            play.eye.resumes(f"jobs/{str(points_of(found)[0]).partition('/jobs/')[2]}", play.bucket)
        play.eye.decides(self._attempt, self._plan().reason)
        return super()._resume(events)

    def _plan(self) -> EnginePlan:
        job = self._attempt.job
        if (kept := job.plan()) is None:
            kept = _PLAN.model_copy(update={"reason": f"by attempt {self._attempt.number}"})
            job.keep_to(kept)
        return kept

    def _save(self, epoch: int) -> None:
        make_folder(self._attempt.checkpoints)
        replace_file(self._attempt.manifest_file, f"{epoch}\n".encode())
        with self._attempt.training_log.open("ab") as log:
            log.write(f"{epoch}\n".encode())
        super()._save(epoch)
