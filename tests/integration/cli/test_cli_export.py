"""`fitstop export`: TensorBoard's own reader and an MLflow server get each row of the resumed log once."""

import json
import math
import sys
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fitstop.cli.main import main
from shared.job import AttemptEnd, Ending, JobError, Stop
from shared.open_job import OpenJob
from shared.times import utc_now
from shared.volume import Volume
from tests.support.api_process import ApiProcess
from tests.support.epochs import epoch, tell
from tests.support.jobs import claim, learnable_frame, put_dataset, put_job, small_spec
from tests.support.keys import ADMIN_KEY

EPOCHS = 12


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    volume = Volume(folder / "volume")
    put_dataset(volume, learnable_frame())
    api = ApiProcess(volume, "redis://127.0.0.1:1/0", folder / "api.log")
    api.start()
    yield api
    api.stop()


@pytest.fixture
def run(service, monkeypatch):
    monkeypatch.setenv("FITSTOP_URL", f"http://127.0.0.1:{service.port}")
    monkeypatch.setenv("FITSTOP_API_KEY", ADMIN_KEY)
    return lambda *arguments: CliRunner().invoke(main, ["export", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture
def job(service):
    """A job that was lost after every second epoch and computed one of them again each time; it still runs."""
    job = put_job(service.volume, small_spec(name="two words/and …", metadata={"team": "a"}))
    for number, first in enumerate(range(1, EPOCHS, 2), 1):
        attempt = claim(job, number)
        tell(attempt, *(epoch(one, one / 100) for one in range(max(1, first - 1), first + 2)))
        if first + 2 < EPOCHS:
            error = JobError(code="worker_lost", message="gone")
            attempt.close(AttemptEnd(outcome="lost", ended_at=utc_now(), error=error, is_loss=True))
    return job


def finish(service, job):
    tell(job.attempts()[-1], epoch(EPOCHS + 1, 0.5))
    job.settle(Ending(status="succeeded", stop=Stop(reason="epochs_completed", last_epoch=EPOCHS + 1)), 1)
    service.volume.close_job(OpenJob(5, job.id))


@pytest.fixture
def without_tensorflow(monkeypatch):
    """Make TensorBoard read files without TensorFlow, which takes many seconds to load.

    TensorBoard keeps this choice permanently, so a later test that needs TensorBoard imports it again.
    """
    monkeypatch.setitem(sys.modules, "tensorboard.compat.notf", ModuleType("notf"))
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "tensorboard"]:
        del sys.modules[name]


def read_scalars(folder: Path, tag: str):
    reader = EventAccumulator(str(folder)).Reload()
    return [(one.step, one.value) for one in reader.Scalars(tag)]


@pytest.mark.usefixtures("without_tensorflow")
def test_tensorboard_reads_each_row_once_also_after_another_export(run, service, job, tmp_path):
    assert run("tensorboard", job.id, "--to", tmp_path).exit_code == 0
    finish(service, job)
    done = run("tensorboard", job.id, "--to", tmp_path)
    folder = tmp_path / f"two-words-and-{job.id[-6:]}"
    assert str(folder) in done.output
    for part, tag in (("train", "accuracy"), ("validation", "accuracy"), ("train", "learning_rate")):
        steps = [step for step, _ in read_scalars(folder / part, tag)]
        assert steps == list(range(1, EPOCHS + 2)), (part, tag)
    step, value = read_scalars(folder / "validation", "loss")[-1]
    assert (step, math.isclose(value, 1.1 / (EPOCHS + 1), rel_tol=1e-6)) == (EPOCHS + 1, True)
    assert len(list(folder.rglob("*"))) == 4, "two folders with a file each"


class Mlflow:
    """The runs of an MLflow server, behind the canned answers."""

    def __init__(self, canned):
        self.experiments, self.runs, self.metrics, self.updates = {}, [], [], []
        root = "/api/2.0/mlflow"
        canned.on("GET", f"{root}/experiments/get-by-name", self.find)
        for path in ("experiments/create", "runs/search", "runs/create", "runs/log-batch", "runs/update"):
            answer = getattr(self, path.replace("/", "_").replace("-", "_"))
            canned.on("POST", f"{root}/{path}", lambda asked, answer=answer: answer(json.loads(asked.body)))
        self.fail_after = math.inf

    def find(self, asked):
        name = asked.query["experiment_name"]
        if name not in self.experiments:
            return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "none"}
        return 200, {"experiment": {"experiment_id": self.experiments[name]}}

    def experiments_create(self, body):
        self.experiments[body["name"]] = "7"
        return 200, {"experiment_id": "7"}

    def runs_search(self, body):
        found = [one for one in self.runs if body["filter"] == f"tags.`fitstop.job` = '{one['tags']['fitstop.job']}'"]
        latest = {one["key"]: one for one in sorted(self.metrics, key=lambda one: one["step"])}
        return 200, {"runs": [{"info": {"run_id": "r"}, "data": {"metrics": list(latest.values())}} for _ in found]}

    def runs_create(self, body):
        self.runs.append({"tags": {one["key"]: one["value"] for one in body["tags"]}})
        return 200, {"run": {"info": {"run_id": "r"}, "data": {}}}

    def runs_log_batch(self, body):
        self.runs[0].setdefault("params", []).extend(body.get("params", []))
        if len(self.metrics) >= self.fail_after:
            return 503, {"error_code": "TEMPORARILY_UNAVAILABLE", "message": "busy"}
        self.metrics += body.get("metrics", [])
        return 200, {}

    def runs_update(self, body):
        self.updates.append(body)
        return 200, {}


def test_an_mlflow_server_has_each_row_once_after_repeated_and_interrupted_exports(
    run, service, job, canned, monkeypatch
):
    server = Mlflow(canned)
    monkeypatch.setenv("FITSTOP_MLFLOW_URI", canned.url)
    monkeypatch.setattr("fitstop.export.mlflow._MOST_METRICS", 25)
    server.fail_after = 25
    failed = run("mlflow", job.id)
    assert failed.exit_code != 0
    assert "TEMPORARILY_UNAVAILABLE" in failed.output
    server.fail_after = math.inf
    for _ in range(2):
        assert run("mlflow", job.id).exit_code == 0
    finish(service, job)
    assert "1 new epochs" in run("mlflow", job.id).output
    got = [(one["key"], one["step"]) for one in server.metrics]
    keys = ("accuracy", "learning_rate", "loss", "val_accuracy", "val_loss")
    assert sorted(got) == [(key, step) for key in keys for step in range(1, EPOCHS + 2)]
    moments = [one["timestamp"] for one in server.metrics if one["key"] == "loss"]
    assert moments == sorted(moments)
    assert (server.runs[0]["tags"]["fitstop.job"], server.runs[0]["tags"]["team"]) == (job.id, "a")
    assert {"key": "hyperparameters.batch_size", "value": "32"} in server.runs[0]["params"]
    assert [one["status"] for one in server.updates] == ["RUNNING", "RUNNING", "FINISHED"]


def test_without_a_server_the_command_says_which_setting_is_missing(run, job, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    done = run("mlflow", job.id)
    assert (done.exit_code, "--uri or FITSTOP_MLFLOW_URI" in done.output) == (2, True)
