"""A service with two projects: keys of every scope, and jobs and datasets in every state."""

import re
from types import SimpleNamespace
from typing import Literal

from flask import Flask
from werkzeug.test import TestResponse

from api.state.key_store import ENVIRONMENT_KEY_ID
from api.state.partial_uploads import PartialInfo, begin_upload, find_upload
from api.state.service import Service
from shared.job import Ending
from shared.open_job import OpenJob
from shared.sweep.folder import sweep_folder
from shared.times import utc_now
from shared.volume import Volume
from shared.worker_card import RunningAttempt, WorkerCard
from tests.support.evaluations import leave_evaluation, measured_numbers
from tests.support.finished_job import finished_job
from tests.support.jobs import claim, learnable_frame, put_dataset, put_images, put_job, small_spec
from tests.support.keys import authorized
from tests.support.past_sweeps import bare_sweep
from tests.support.programs import put_program
from tests.support.system import leave_system, seconds_of
from tests.support.webhooks import put_webhook
from tests.support.weights import put_weights

PROJECTS = ("red", "blue")
SCOPES: tuple[Literal["read", "write", "code", "admin"], ...] = ("read", "write", "code", "admin")
MOMENTS = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+Z|\"(?:last_seen_seconds|request_id)\": *(?:[0-9.]+|\"[^\"]*\")")


def two_projects(app: Flask) -> SimpleNamespace:
    """The content of both projects (`things`), and a client for each key (`clients`)."""
    service = Service.of(app)
    made = {
        (name, scope): service.keys.create(f"{name}-{scope}", scope, None, name)
        for name in PROJECTS
        for scope in SCOPES
    }
    things = {name: put_things(service, name) for name in PROJECTS}
    show_worker(service.volume, things)
    return SimpleNamespace(
        app=app,
        volume=service.volume,
        things=things,
        clients={who: authorized(app, key) for who, (_, key) in made.items()},
        key_id=made["red", "read"][0].id,
        nobody=app.test_client(),
    )


def put_things(service: Service, name: str) -> SimpleNamespace:
    """Put datasets, weights, a program, jobs in every state, sweeps, a webhook and a link of a project."""
    volume = service.volume
    dataset = f"{name}-data"
    if volume.dataset(dataset) is None:
        put_dataset(volume, learnable_frame(), dataset, name)
        put_images(volume, f"{name}-images", name)
        put_weights(volume, f"{name}-weights", project=name)
        put_program(volume, f"{name}-program", project=name)
    put_upload(volume, name)
    spec = small_spec(name=f"{name}-job", dataset={"id": dataset})
    finished = finished_job(volume, name, dataset)
    leave_evaluation(finished.attempts()[0], "regression", measured_numbers([1.0, 2.0], [1.0, 3.0]))
    leave_system(finished.attempts()[0], seconds_of(3, cpu_cores=1.0))
    waiting, running, failed = (put_job(volume, spec, name) for _ in range(3))
    claim(running)
    failed.settle(Ending(status="failed"), None)
    volume.close_job(OpenJob(5, failed.id, name))
    ids = {"finished": finished.id, "waiting": waiting.id, "running": running.id, "failed": failed.id}
    kinds = ("upload", "images", "weights", "program")
    others = {kind: f"{name}-{kind}" for kind in kinds}
    others["webhook"] = put_webhook(service.webhooks, name).id
    ended = bare_sweep(volume, name, dataset)
    ended.end("completed", "all trials have ended")
    others |= {"sweep": ended.id, "running_sweep": bare_sweep(volume, name, dataset).id}
    admin = service.keys.of_id(ENVIRONMENT_KEY_ID)
    assert admin is not None
    others["share"] = service.shares.create(finished.id, name, admin, None)[0].id
    return SimpleNamespace(name=name, dataset=dataset, spec=spec, **others, **ids)


def put_upload(volume: Volume, name: str) -> None:
    """Begin an upload of a project."""
    begin_upload(
        volume.datasets,
        PartialInfo(
            dataset_id=f"{name}-data", upload_id=f"{name}-upload", project=name, length=100, name=None,
            missing_values=None, column_kinds={},
        ),
    )  # fmt: skip


def show_worker(volume: Volume, things: dict[str, SimpleNamespace]) -> None:
    """Show a worker that runs a job of each project."""
    running = [RunningAttempt(job=one.running, attempt=1, slot=slot) for slot, one in enumerate(things.values())]
    volume.show_worker(
        WorkerCard(
            worker="w", host="h", pid=1, device="CPU", slots=2, child_start="spawn", ready=False, draining=False,
            running=tuple(running), started_at=utc_now(), seen_at=utc_now(),
        )
    )  # fmt: skip


def ids_of(thing: SimpleNamespace) -> list[str]:
    """The ids that a request may name."""
    own = [thing.dataset, thing.images, thing.weights, thing.upload, thing.program, thing.webhook, thing.share]
    return [*own, thing.finished, thing.waiting, thing.failed, thing.sweep, thing.running_sweep]


def secrets_of(thing: SimpleNamespace) -> list[str]:
    """The ids and names that another project must not see."""
    jobs = [thing.finished, thing.waiting, thing.running, thing.failed]
    own = [thing.dataset, thing.images, thing.weights, thing.upload, thing.program, thing.webhook, thing.share]
    return [*own, f"{thing.name}-job", *jobs, thing.sweep, thing.running_sweep, f"{thing.name}-sweep"]


def files_of(service: Service, thing: SimpleNamespace) -> dict[str, bytes]:
    """All files of a project, with their content."""
    volume = service.volume
    folders = [
        service.webhooks.place(thing.webhook),
        service.shares.place(thing.finished),
        volume.dataset_folder(thing.dataset),
        volume.dataset_folder(thing.images),
        volume.weights.place(thing.weights),
        volume.programs.place(thing.program),
        sweep_folder(volume, thing.sweep).path,
        sweep_folder(volume, thing.running_sweep).path,
        *volume.open.glob(f"*.{thing.name}"),
    ]
    upload = find_upload(volume.datasets, thing.name, thing.dataset, thing.upload)
    folders += [upload.folder] if upload else []
    folders += [
        volume.job_folder(job_id).path for job_id in (thing.finished, thing.waiting, thing.running, thing.failed)
    ]
    files = [file for folder in folders for file in ([folder] if folder.is_file() else sorted(folder.rglob("*")))]
    return {str(file): file.read_bytes() for file in files if file.is_file()}


def steady(answer: TestResponse, *ids: str) -> tuple[int, str]:
    """An answer without times, without the ids of this request, and without what only concerns the caller."""
    text = MOMENTS.sub("", answer.get_data(as_text=True))
    for one in ids:
        text = text.replace(one, "ID")
    return answer.status_code, re.sub(r'"instance": *"[^"]*"', "", text)
