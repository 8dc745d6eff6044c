"""Kills training processes at chosen moments, and compares the runs bit for bit with runs that were not killed.

A moment has a kind and a number: the n-th batch, file operation, half-written file, half-saved model, half row, decoded
image, evaluated batch. The children are forked from the product's own fork server, so each starts in about a second.
"""

import hashlib
import io
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np

from shared.job import AttemptEnd
from shared.job_folder import AttemptFolder, JobFolder
from shared.manifest import read_manifest
from shared.mirror.attached import bring
from shared.times import utc_now
from shared.volume import Volume
from tests.support.both_stores import Machines, uploads_of
from tests.support.jobs import claim, put_job, small_spec
from tests.support.kinds import kind_job
from worker.ipc import kept_programs
from worker.ipc.program_store import make_store

_KILLED_AT = "killed at: "

Kind = Literal["batch", "operation", "half file", "half model", "half row", "decoded image", "evaluated batch"]
# Approximate number of moments of each kind in a run of RESUME_JOB.
MOMENTS: dict[Kind, int] = {"batch": 60, "operation": 200, "half file": 40, "half model": 5, "half row": 8}
# The same for a run of `kind_resume_job`.
KIND_MOMENTS: dict[Kind, int] = {
    "batch": 25, "operation": 120, "half file": 20, "half model": 3, "half row": 5, "decoded image": 200,
}  # fmt: skip


@dataclass(frozen=True)
class Kill:
    """SIGKILL at the `number`-th moment of a kind, counted from 1."""

    kind: Kind
    number: int


@dataclass(frozen=True)
class Outcome:
    """Everything of a finished run that must be equal: how it stopped, its log, its checkpoints, its last state."""

    ending: dict[str, Any]
    log: bytes
    checkpoints: list[tuple[str, int, str]]
    final_state: str


RESUME_JOB: dict[str, Any] = {
    "dataset": {"target": "grade", "positive": None},
    "model": {"layers": [8, 8], "dropout": 0.3, "batch_normalization": True},
    "hyperparameters": {"epochs": 14, "batch_size": 16, "learning_rate": 0.02},
    "callbacks": {
        "early_stopping": {"patience": 5, "min_delta": 0.02},
        "reduce_lr_on_plateau": {"patience": 1, "factor": 0.5, "cooldown": 1, "min_delta": 0.01},
        "model_checkpoint": {"keep": 2},
    },
}


# The bits of the results differ between engines, so each engine has its own run that is not killed.
ENGINES: dict[str, dict[str, Any]] = {
    "fused with XLA": {"engine": "fused", "xla": True},
    "fused": {"engine": "fused", "xla": False},
    "stock": {"engine": "stock", "xla": False},
    "stock with XLA": {"engine": "stock", "xla": True},
}
# Also several devices, here virtual devices of a CPU, whose processes take seconds longer.
ALL_ENGINES: dict[str, dict[str, Any]] = {**ENGINES, "two devices": {"devices": 2, "xla": False}}


def resume_job(engine: str) -> dict[str, Any]:
    """RESUME_JOB on one of ALL_ENGINES."""
    return {**RESUME_JOB, "hyperparameters": {**RESUME_JOB["hyperparameters"], **ALL_ENGINES[engine]}}


def kind_resume_job(kind: str, engine: str) -> dict[str, Any]:
    """A job with another kind of data or model, on one of ALL_ENGINES."""
    callbacks = {**RESUME_JOB["callbacks"], "early_stopping": {"patience": 3, "min_delta": 0.02}}
    epochs = 2 if kind == "application" else 7
    return {**kind_job(kind, epochs=epochs, **ALL_ENGINES[engine]), "callbacks": callbacks}


def preloaded_forks() -> ForkServerContext:
    """A fork server that has imported the training program, as that of a worker has."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["worker.training.preload", "tests.support.killing"])
    return context


def some_kills(chance: random.Random, moments: dict[Kind, int] = MOMENTS) -> list[Kill]:
    """One to five kills, each at a random moment within its share of the run. `moments`: their number by kind."""
    kinds = [chance.choice(list(moments)) for _ in range(chance.randint(1, 5))]
    return [Kill(kind, chance.randint(1, max(1, moments[kind] // len(kinds)))) for kind in kinds]


def run_killed(
    volume: Volume,
    forks: ForkServerContext,
    kills: list[Kill],
    resume_seconds: float,
    spec: dict[str, Any],
    programs: Path | None = None,
    machines: Machines | None = None,
) -> JobFolder:
    """Post a job. Run one attempt for each kill, which ends it, and one attempt that concludes.

    `programs`: a worker's folder of kept programs, with the store in it. An attempt that does not reach its moment is
    killed just before its conclusion, so that every kill ends an attempt.
    """
    job = put_job(volume, small_spec(**spec))
    run_to_the_end(job, forks, kills, resume_seconds, programs=programs, machines=machines)
    return job


def run_to_the_end(
    job: JobFolder,
    forks: ForkServerContext,
    kills: Sequence[Kill] = (),
    resume_seconds: float = 60,
    budget_looks: int | None = None,
    programs: Path | None = None,
    machines: Machines | None = None,
) -> None:
    """Run one attempt of a job for each kill, which ends it, and one attempt that concludes.

    `resume_seconds` 0: save each batch. `budget_looks`: number of the check inside an epoch at which the last attempt
    finds its budget used up. The job has its own cache of decoded images, beside the volume. If `machines` share a
    bucket, each attempt runs on a new machine, which is lost afterwards.
    """
    for number, kill in enumerate([*kills, None], 1):
        with _on_a_machine(job, machines) as here:
            attempt = claim(here, number)
            told = (kill.kind, kill.number) if kill else None
            looks = budget_looks if kill is None else None
            process = forks.Process(target=train, args=(str(attempt.path), told, str(resume_seconds), looks, programs))
            with uploads_of(attempt):
                process.start()
                process.join(300)
            if kill is not None:
                assert process.exitcode == -signal.SIGKILL, f"{process.exitcode}: {attempt.output_file.read_text()}"
                assert attempt.conclusion() is None
                attempt.close(AttemptEnd(outcome="failed", ended_at=utc_now()))
            assert kill or attempt.conclusion() is not None, attempt.output_file.read_text()
    if machines is not None:
        machines.look(at_everything=True)


@contextmanager
def _on_a_machine(job: JobFolder, machines: Machines | None) -> Iterator[JobFolder]:
    """The job on the machine that trains it: a new, empty machine, unless all machines have the same folder."""
    if machines is None or not machines.has_bucket:
        yield job
        return
    volume = machines.add()
    here = volume.job_folder(job.id)
    bring(here.path)
    if (record := here.record()) is not None:
        volume.bring_files(record)
    yield here
    machines.lose(volume)
    shutil.rmtree(volume.root)


def deaths(job: JobFolder) -> list[str]:
    """The moments at which the attempts of a job of `run_killed` were killed, in order."""
    lines = [line for one in job.attempts() for line in one.output_file.read_text(errors="replace").splitlines()]
    return [line.removeprefix(_KILLED_AT) for line in lines if line.startswith(_KILLED_AT)]


def train(
    folder: str,
    kill: tuple[Kind, int] | None,
    resume_seconds: str,
    budget_looks: int | None = None,
    programs: Path | None = None,
) -> None:
    """Run the training program in a child, killed at the moment that `kill` names."""
    attempt = AttemptFolder(Path(folder), int(Path(folder).name))
    os.environ["FITSTOP_RESUME_SECONDS"] = str(max(float(resume_seconds), 1e-6))
    os.environ["FITSTOP_ALLOW_CODE"] = "unboxed"
    os.environ["FITSTOP_CACHE"] = f"{attempt.volume_root}-cache-of-{attempt.job.id}"
    if programs is not None:
        os.environ[kept_programs.VARIABLE] = str(programs)
        os.environ[kept_programs.STORE_VARIABLE] = str(store_of(programs))
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    sink = os.open(str(Path(folder) / "output.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    if kill is not None:
        _arm(Kill(*kill))
    if budget_looks is not None:
        _use_up_budget(budget_looks)
    _do_one_step_in_each_call()
    if float(resume_seconds) == 0:
        _save_after_each_batch()
    from worker.training.__main__ import main

    sys.exit(main([folder]))


def store_of(programs: Path) -> Path:
    """The store of compiled programs in a worker's folder of kept programs."""
    return make_store(programs / "compiled-programs" / "compiler")


def outcome(job: JobFolder) -> Outcome:
    """The outcome of a job whose last attempt has concluded."""
    attempt = job.attempts()[-1]
    conclusion = attempt.conclusion()
    assert conclusion is not None, attempt.output_file.read_text()
    assert conclusion.ending is not None
    return Outcome(
        ending=conclusion.ending.model_dump(mode="json"),
        log=attempt.training_log.read_bytes(),
        checkpoints=[
            (one.name, one.epoch, _weights_digest(attempt.checkpoints / one.name))
            for one in read_manifest(attempt.manifest_file).checkpoints
        ],
        final_state=final_state(_last_with_points(job)),
    )


def _last_with_points(job: JobFolder) -> AttemptFolder:
    """The last attempt with a resume point. An attempt that found training already stopped wrote none."""
    return [attempt for attempt in job.attempts() if any(attempt.resume.glob("point-*"))][-1]


def final_state(attempt: AttemptFolder) -> str:
    """A digest of the last resume point: weights and optimizer (name, dtype, shape, bytes), callbacks, random state."""
    from worker.training.resume.point import read_point

    point = read_point(max(attempt.resume.glob("point-*"), key=lambda path: path.name))
    digest = hashlib.sha256(json.dumps([point.callbacks, point.random, str(point.place)]).encode())
    for name, array in point.tensors:
        digest.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


def _weights_digest(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        content = archive.read("model.weights.h5")
    digest = hashlib.sha256()

    def add(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            values = np.asarray(item)
            digest.update(f"{name} {values.dtype} {values.shape}".encode() + values.tobytes())

    with h5py.File(io.BytesIO(content), "r") as file:
        file.visititems(add)
    return digest.hexdigest()


def _do_one_step_in_each_call() -> None:
    """Make the fused engine run one step in each call, so that it can be stopped after each batch of a short epoch."""
    from worker.training.engine import fused

    fused.call_seconds = lambda _: 0


def _save_after_each_batch() -> None:
    """Save after each batch, however slow the disk is: a kill loses at most three batches, whose saves were pending."""
    from worker.training.callbacks.resume_saver import ResumeSaver

    ResumeSaver._is_due = lambda *_: True  # type: ignore[method-assign]


def _use_up_budget(looks: int) -> None:
    from shared.job import BudgetUsed
    from worker.training.callbacks.budget import StopWithinBudget
    from worker.training.errors import BudgetUsedUp

    left = looks

    def look(self: Any) -> None:
        nonlocal left
        left -= 1
        if left <= 0:
            raise BudgetUsedUp(BudgetUsed(kind="max_gpu_seconds", limit=1.0, used=1.0))

    StopWithinBudget._look = look  # type: ignore[method-assign]


def _die(at: str) -> None:
    os.write(1, f"\n{_KILLED_AT}{at}\n".encode())
    os.kill(os.getpid(), signal.SIGKILL)


def _arm(kill: Kill) -> None:
    left = kill.number

    def reached() -> bool:
        nonlocal left
        left -= 1
        return left == 0

    arm = {
        "batch": _kill_at_batch,
        "operation": _kill_at_operation,
        "half file": _kill_in_file,
        "half model": _kill_in_model,
        "half row": _kill_in_row,
        "decoded image": _kill_while_decoding,
        "evaluated batch": _kill_while_evaluating,
    }
    arm[kill.kind](reached)
    _kill_at_conclusion()


def _kill_at_conclusion() -> None:
    def conclude(*_: Any) -> bool:
        _die("conclusion")
        return False

    AttemptFolder.conclude = conclude  # type: ignore[method-assign]


def _kill_at_batch(reached: Any) -> None:
    from worker.training.callbacks.stopping import StopBetweenBatches

    ours = StopBetweenBatches.steps_done

    def steps_done(self: Any, step: int, logs: Any) -> None:
        if reached():
            _die("batch")
        ours(self, step, logs)

    StopBetweenBatches.steps_done = steps_done  # type: ignore[method-assign]


def _kill_while_evaluating(reached: Any) -> None:
    from worker.training.evaluation import outputs

    ours = outputs._predict_batch

    def predict_batch(*arguments: Any) -> Any:
        outputs_of_batch = ours(*arguments)
        if reached():
            _die("evaluated batch")
        return outputs_of_batch

    outputs._predict_batch = predict_batch


def _kill_at_operation(reached: Any) -> None:
    """Count each fsync, replace, rename, link, unlink and write; the kill comes before the operation."""
    for name in ("fsync", "replace", "rename", "link", "unlink", "write"):
        ours = getattr(os, name)

        def operation(*arguments: Any, _ours: Any = ours, **options: Any) -> Any:
            if reached():
                _die("operation")
            return _ours(*arguments, **options)

        setattr(os, name, operation)


def _kill_in_file(reached: Any) -> None:
    import shared.durable

    ours = shared.durable._write_beside

    def write_beside(path: Path, pieces: Iterable[bytes | memoryview]) -> Path:
        if reached():
            whole = b"".join(pieces)
            path.with_name(f".{path.name}.killed.tmp").write_bytes(whole[: len(whole) // 2])
            _die("half file")
        return ours(path, pieces)

    shared.durable._write_beside = write_beside


def _kill_in_model(reached: Any) -> None:
    from worker.training.checkpoints import CheckpointStore

    ours = CheckpointStore.publish

    def publish(self: Any, name: str, content: bytes, *arguments: Any) -> Any:
        if reached():
            self._attempt.checkpoints.mkdir(exist_ok=True)
            (self._attempt.checkpoints / f".{name}.killed.tmp").write_bytes(content[: len(content) // 2])
            _die("half model")
        return ours(self, name, content, *arguments)

    CheckpointStore.publish = publish  # type: ignore[method-assign]


def _kill_in_row(reached: Any) -> None:
    from worker.training.callbacks.csv_log import CSVLog

    ours = CSVLog.on_epoch_end

    def on_epoch_end(self: Any, epoch: int, logs: Any = None) -> None:
        before = Path(self.filename).stat().st_size
        ours(self, epoch, logs)
        if reached():
            self.csv_file.flush()
            os.truncate(self.filename, (before + Path(self.filename).stat().st_size) // 2)
            _die("half row")

    CSVLog.on_epoch_end = on_epoch_end  # type: ignore[method-assign]


def _kill_while_decoding(reached: Any) -> None:
    """Count decoded images; the kill comes in one of the threads that decode."""
    from worker.training.prepare_images import Preparation

    ours = Preparation.decode

    def decode(self: Any, content: bytes) -> Any:
        if reached():
            _die("decoded image")
        return ours(self, content)

    Preparation.decode = decode  # type: ignore[method-assign]
