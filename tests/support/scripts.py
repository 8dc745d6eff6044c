"""The scripts of `examples/scripts` as jobs, and the results of their runs that must be equal."""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import h5py
import numpy as np

from shared.evaluation import read_evaluation
from shared.ids import new_job_id
from shared.job import JobRecord, pin_program
from shared.job_folder import AttemptFolder, JobFolder
from shared.spec import ProgramJobSpec
from shared.times import utc_now
from shared.volume import Volume
from tests.support.programs import put_program

SCRIPTS = Path(__file__).parents[2] / "examples" / "scripts"


@dataclass(frozen=True)
class ScriptOutcome:
    """How a script's job ended, its log and evaluation, its files, and the state after its calls of `fit`."""

    ending: dict[str, Any]
    log: bytes
    files: dict[str, str]
    calls: dict[str, str]
    evaluation: dict[str, Any] | None


def put_script_job(
    volume: Volume, script: str | Path, beside: Mapping[str, bytes] = MappingProxyType({}), **spec: Any
) -> JobFolder:
    """Post a job that runs a script, given by its text or its file. `beside`: other files of its program."""
    content = script.read_bytes() if isinstance(script, Path) else script.encode()
    name = f"script-{hashlib.sha256(content).hexdigest()[:12]}"
    program = volume.program(name) or put_program(volume, name, {"train.py": content, **beside})
    asked = {"name": name, "program": {"id": name, "entry": "train.py"}, **spec}
    record = JobRecord(
        id=new_job_id(),
        created_at=utc_now(),
        spec=ProgramJobSpec.model_validate_json(json.dumps(asked)),
        task=None,
        data_sha256=pin_program(program.version, {}),
        program_version=program.version,
    )
    return volume.store_job(record)


def script_outcome(job: JobFolder) -> ScriptOutcome:
    """The outcome of a job whose last attempt has concluded."""
    attempt = job.attempts()[-1]
    conclusion = attempt.conclusion()
    assert conclusion is not None, attempt.output_file.read_text()
    assert conclusion.ending is not None, attempt.output_file.read_text()
    assert conclusion.ending.status == "succeeded", conclusion.ending
    log = attempt.training_log.read_bytes() if attempt.training_log.exists() else b""
    files = {str(path.relative_to(attempt.files)): _digest(path) for path in _kept_files(attempt)}
    found = read_evaluation(attempt)
    evaluation = found.model_dump(exclude={"computed_at", "seconds"}) if found else None
    return ScriptOutcome(conclusion.ending.model_dump(mode="json"), log, files, _calls(job), evaluation)


def _kept_files(attempt: AttemptFolder) -> list[Path]:
    """The files that the script wrote, without unchanged files of its program, which are not uploaded again."""
    record = attempt.job.record()
    assert record is not None
    assert isinstance(record.spec, ProgramJobSpec)
    program = Volume(attempt.volume_root).program(record.spec.program.id, record.program_version)
    assert program is not None
    found = (path for path in sorted(attempt.files.rglob("*")) if path.is_file())
    wanted = (path for path in found if not {".tmp", "__pycache__"} & set(path.parts))
    return [path for path in wanted if path.stat().st_mtime_ns != program.uploaded_at]


def _calls(job: JobFolder) -> dict[str, str]:
    """A digest of the state after each call of `fit`, by the name of its record."""
    from worker.training.resume.point import read_point

    found = {}
    for path in sorted(path for attempt in job.attempts() for path in attempt.resume.glob("fit-*.bin")):
        point = read_point(path)
        states = {name: state for name, state in point.callbacks.items() if name != "files"}
        digest = hashlib.sha256(json.dumps([states, point.random, str(point.place)]).encode())
        for name, array in point.tensors:
            digest.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
        found[path.name] = digest.hexdigest()
    return found


def _digest(path: Path) -> str:
    """A digest of a file's content; for a model, only of its weights, since Keras writes the date into the file."""
    content = path.read_bytes()
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            content = archive.read("model.weights.h5")
    if path.suffix not in {".keras", ".h5"}:
        return hashlib.sha256(content).hexdigest()
    digest = hashlib.sha256()

    def add(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            values = np.asarray(item)
            raw = values.tobytes() if values.dtype.kind != "O" else repr(values.tolist()).encode()
            digest.update(f"{name} {values.dtype} {values.shape}".encode() + raw)

    with h5py.File(io.BytesIO(content), "r") as file:
        file.visititems(add)
    return digest.hexdigest()
