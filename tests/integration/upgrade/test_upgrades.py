"""A rolling upgrade of a volume: documents with new fields, without fields that come later, and of a newer format.

Each document of a volume of version e06c457 has its turn.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from api.jobs.once import PostedOnce
from api.state.key_store import KeyRecord, Revocation
from api.state.sessions import SessionRecord
from shared.dataset import Column, DatasetInfo, ValueCount
from shared.document import FORMAT
from shared.inference import InferenceFacts
from shared.job import (
    AttemptEnd,
    BudgetUsed,
    Cancel,
    Claim,
    Conclusion,
    Ending,
    EnginePlan,
    JobError,
    JobRecord,
    JobResult,
    ProcessIdentity,
    Stop,
    TrainingProcess,
)
from shared.job_folder import AttemptFolder
from shared.manifest import Checkpoint, Manifest
from shared.progress import Best, EpochProgress, LastImprovement, Patience, PlateauWait
from shared.spec import (
    Budget,
    Callbacks,
    CSVLoggerSpec,
    DenseSpec,
    EarlyStoppingSpec,
    Hyperparameters,
    JobSpec,
    ModelCheckpointSpec,
    Positive,
    ReduceLROnPlateauSpec,
    TableSpec,
)
from shared.task import Task
from shared.volume import Volume
from shared.volume_identity import VolumeMarker
from shared.worker_card import GpuUse, RunningAttempt, WorkerCard
from tests.support.old_volume import (
    EXPECTED,
    RUNNING,
    Answers,
    OldVolume,
    answers,
    assert_resumed_as_twin,
    change,
    document_names,
    resumed,
    unpacked,
)
from worker.supervisor.claim import Owner, claim_next
from worker.training.resume.point import read_point, write_point
from worker.training.resume.store import newest_point, owner_of

# Bottom up: a model comes after the models that it contains.
MODELS: tuple[type[BaseModel], ...] = (
    Best, LastImprovement, Patience, PlateauWait, EpochProgress,
    Positive, TableSpec, DenseSpec, Hyperparameters, ModelCheckpointSpec, ReduceLROnPlateauSpec, EarlyStoppingSpec,
    CSVLoggerSpec, Callbacks, Budget, JobSpec, Task, JobRecord,
    EnginePlan, Cancel, JobError, BudgetUsed, Stop, Ending, JobResult, ProcessIdentity, Claim,
    TrainingProcess, Conclusion, AttemptEnd, VolumeMarker,
    Checkpoint, Manifest, ValueCount, Column, DatasetInfo, InferenceFacts, GpuUse, RunningAttempt, WorkerCard,
    KeyRecord, Revocation, SessionRecord, PostedOnce,
)  # fmt: skip
DOCUMENTS = document_names()


@contextmanager
def grown(*models: type[BaseModel]) -> Iterator[None]:
    """Give the models one more field with a default, as a later version may have."""
    for model in models:
        # Exactly one field of Positive is given, so a new one is None by default.
        default = None if model is Positive else 7
        model.__pydantic_fields__["added_later"] = FieldInfo(annotation=int | None, default=default)
    _rebuild()
    try:
        yield
    finally:
        for model in models:
            del model.__pydantic_fields__["added_later"]
        _rebuild()


def _rebuild() -> None:
    for model in MODELS:
        model.model_rebuild(force=True)


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """The routes' answers on the unchanged volume."""
    return answers(unpacked(tmp_path_factory.mktemp("untouched")).app())


@pytest.fixture
def old(tmp_path: Path) -> OldVolume:
    return unpacked(tmp_path)


def add_fields(document: Any) -> None:
    """Add unknown fields to every object of a document, except objects whose names are data."""
    for inner in document.values() if isinstance(document, dict) else document:
        if isinstance(inner, dict | list):
            add_fields(inner)
    if isinstance(document, dict) and not document.keys() & {"team", "accuracy", "keras"}:
        document["added_later"] = {"by": ["a newer version"]}


def job_of(name: str) -> str:
    return next((job_id for job_id in EXPECTED["jobs"].values() if job_id in name), "")


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_old_documents_are_read_where_a_model_has_grown(
    model: type[BaseModel], old: OldVolume, untouched: Answers
) -> None:
    with grown(model):
        found = answers(old.app())
    # These hold the whole spec, and so the new field.
    bundles = [path for path in found if path.endswith("bundle.zip")]
    assert [found[path][0] for path in bundles] == [untouched[path][0] for path in bundles]
    assert without_added(without(found, bundles)) == without(untouched, bundles)


def without(found: Answers, paths: list[str]) -> Answers:
    return {path: answer for path, answer in found.items() if path not in paths}


def without_added(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_added(inner) for name, inner in value.items() if name != "added_later"}
    return type(value)(map(without_added, value)) if isinstance(value, list | tuple) else value


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_a_point_is_still_its_jobs_where_a_model_has_grown(model: type[BaseModel], old: OldVolume) -> None:
    job, told = Volume(old.root).job_folder(RUNNING), list[str]()
    with grown(model):
        found = newest_point(AttemptFolder(job.attempts_folder / "2", 2), lambda _, point: point, told.append)
    assert found is not None
    assert (found[2].place.epoch, told) == (17, [])


def test_a_running_job_resumes_equal_where_every_model_has_grown(old: OldVolume) -> None:
    with grown(*MODELS):
        assert_resumed_as_twin(resumed(old))


def test_a_grown_model_has_its_new_field_wherever_it_is_a_part() -> None:
    with grown(Hyperparameters):
        spec = JobSpec.model_validate({"dataset": {"id": "a", "target": "b"}, "hyperparameters": {"epochs": 3}})
        assert spec.model_dump()["hyperparameters"]["added_later"] == 7
    assert "added_later" not in Hyperparameters().model_dump()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_unknown_fields_of_a_document_change_no_answer(name: str, old: OldVolume, untouched: Answers) -> None:
    change(old.root / name, add_fields)
    assert answers(old.app()) == untouched


def test_a_running_job_resumes_equal_with_unknown_fields_in_all_of_its_documents(old: OldVolume) -> None:
    for name in DOCUMENTS:
        change(old.root / name, add_fields)
    attempt = Volume(old.root).job_folder(RUNNING).attempts()[-1]
    lines = [json.loads(line) for line in attempt.events_file.read_text().splitlines()]
    for line in lines:
        add_fields(line)
    attempt.events_file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    for path in attempt.resume.iterdir():
        point = read_point(path)
        for part in (point.manifest, point.callbacks):
            add_fields(part)
        # The bytes of its spec have changed, as if a newer version had written them from the start.
        write_point(path, replace(point, owner=owner_of(attempt.job.spec_file.read_bytes())))
    assert_resumed_as_twin(resumed(old))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_of_a_newer_format_is_set_aside_alone(name: str, old: OldVolume, untouched: Answers) -> None:
    change(old.root / name, lambda document: document.update(format=FORMAT + 1))
    app = old.app()
    found = answers(app)
    assert not [path for path, answer in found.items() if answer[0] == 500]
    job_id = job_of(name)
    if job_id:
        assert_set_aside_alone(job_id, found, untouched)


def assert_set_aside_alone(job_id: str, found: Answers, untouched: Answers) -> None:
    """Check that the job's own routes report what is wrong, and that all others answer as before."""
    own = {path: answer for path, answer in found.items() if job_id in path}
    others = {
        path: answer
        for path, answer in found.items()
        if path.startswith(("/jobs/", "/datasets")) and job_id not in path
    }
    assert others == {path: untouched[path] for path in others}
    changed = [answer for path, answer in own.items() if answer != untouched[path]]
    refused = [answer[1] for answer in changed if answer[0] == 503]
    assert {(one["code"], "newer version of Fitstop" in one["detail"]) for one in refused} <= {("newer_format", True)}
    listed = {job["id"] for job in found["/jobs"][1]["data"]}
    aside = {one["id"]: one for one in found["/jobs"][1]["set_aside"]}
    assert listed | set(aside) == set(EXPECTED["jobs"].values())
    assert set(aside) <= {job_id}


@pytest.mark.parametrize("name", ["spec.json", "plan.json", "attempts/1/claim.json"])
def test_a_worker_passes_over_a_job_with_a_newer_document_and_says_so_once(
    name: str, old: OldVolume, caplog: pytest.LogCaptureFixture
) -> None:
    volume = Volume(old.root)
    running = volume.job_folder(RUNNING)
    running.attempts()[-1].close(AttemptEnd(outcome="lost", ended_at="2026-11-28T18:00:00.000Z"))
    change(running.path / name, lambda document: document.update(format=FORMAT + 1))
    owner = Owner("here-1-a", "here", 1, 0, "CPU")
    first, second = claim_next(volume, owner), claim_next(volume, owner)
    assert first is not None
    assert first.job.id == EXPECTED["jobs"]["queued"]
    assert second is None
    [told] = [record.message for record in caplog.records if RUNNING in record.message]
    assert "written by a newer version" in told


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if EXPECTED["jobs"]["succeeded"] in name])
def test_a_damaged_document_breaks_no_other_jobs_view_and_is_named(
    name: str, old: OldVolume, untouched: Answers
) -> None:
    job_id, path = EXPECTED["jobs"]["succeeded"], old.root / name
    path.unlink()
    path.write_bytes(b'{"version":1,')
    found = answers(old.app())
    failed = {route for route, answer in found.items() if answer[0] == 500}
    assert {route for route in failed if job_id not in route} <= {"posted once"}
    shown = found[f"/jobs/{job_id}"]
    said = " ".join(shown[1]["warnings"]) if shown[0] == 200 else shown[1]["detail"]
    assert path.name in said or path.name in {"heartbeat.json", "inference.json", "conclusion.json"}
    assert_set_aside_alone(job_id, found, untouched)
