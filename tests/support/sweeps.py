"""Puts sweeps on a volume as the API does; trials as values."""

from typing import Any

from shared.ids import new_job_id, new_sweep_id
from shared.job import AttemptEnd, Claim, Ending, JobRecord, Stop
from shared.job_folder import AttemptFolder, JobFolder
from shared.resolve import resolve
from shared.resolve.draft import make_draft
from shared.resolve.kinds import fill_in_kinds
from shared.spec import EarlyStoppingSpec, JobSpec
from shared.sweep.check import Checked, Judge, check
from shared.sweep.folder import SweepFolder, SweepRecord, sweep_folder
from shared.sweep.trial import Trial
from shared.times import utc_now
from shared.volume import Volume
from tests.support.epochs import epoch, tell
from tests.support.jobs import small_spec

SPACE: dict[str, Any] = {
    "/hyperparameters/learning_rate": {"log": [0.001, 0.1]},
    "/model/layers": {"choice": [[4], [8], [8, 8]]},
}


def sweep_document(**parts: Any) -> dict[str, Any]:
    """The document of a sweep of small jobs; `parts` replace its fields."""
    return {"job": small_spec(), "space": SPACE, "trials": 6, "parallel": 2, "rule": {"name": "none"}, **parts}


def judge_of(volume: Volume) -> Judge:
    """A function that checks a job's spec against the dataset on a volume."""

    def judge(document: dict[str, Any]) -> JobRecord:
        info = volume.dataset(document["dataset"]["id"])
        assert info is not None
        draft = make_draft(JobSpec, fill_in_kinds(document, info), {})
        assert draft.value is not None
        found = resolve(draft.value, info, None, draft.faults)
        return JobRecord(
            id=new_job_id(), created_at=utc_now(), spec=found.spec, task=found.task, data_sha256=info.data_sha256
        )

    return judge


def put_sweep(volume: Volume, **parts: Any) -> SweepFolder:
    """Put a sweep on a volume that has its dataset."""
    return store_sweep(volume, check(sweep_document(**parts), judge_of(volume)))


def store_sweep(volume: Volume, checked: Checked) -> SweepFolder:
    """Put a checked sweep on a volume."""
    record = SweepRecord(
        id=new_sweep_id(),
        created_at=utc_now(),
        spec=checked.spec,
        data_sha256=checked.data_sha256,
        uploads=checked.uploads,
        key_id="key",
    )
    folder = sweep_folder(volume, record.id)
    folder.store(record)
    return folder


def trial(number: int, *curve: float | None, status: Any = "succeeded", **facts: Any) -> Trial:
    """A trial of `SPACE` with a curve; each epoch takes a second."""
    given: dict[str, Any] = {
        "parameters": {"/hyperparameters/learning_rate": 0.01 / number, "/model/layers": [8]},
        "held": float(len(curve)),
        "max_epochs": 100,
        "stopping": EarlyStoppingSpec(monitor="val_accuracy", mode="max"),
        "seconds": (1.0,) * len(curve),
        **facts,
    }
    return Trial(number=number, job=f"job_{number:026}", status=status, proposed_at=utc_now(), curve=curve, **given)


def train(job: JobFolder, *values: float, ends: bool = True, held: float = 1.0) -> AttemptFolder:
    """Act as the worker of a job: claim it, write an epoch for each value, and end it if `ends`."""
    attempt = job.running_attempt()
    if attempt is None:
        attempt = job.take(
            Claim(
                attempt=1, owner="tests", host="here", pid=1, slot=0, device="CPU", claimed_at=utc_now(),
                gpu_price_per_hour=3.6, currency="EUR",
            )
        )  # fmt: skip
    assert attempt is not None
    tell(attempt, *(epoch(number, value) for number, value in enumerate(values, start=1)))
    if ends:
        ending = Ending(status="succeeded", stop=Stop(reason="epochs_completed", last_epoch=len(values)))
        attempt.close(AttemptEnd(outcome="finished", ended_at=utc_now(), held_seconds=held, ending=ending))
        job.settle(ending, attempt.number)
    return attempt


class DeafQueue:
    """A queue whose notifications go nowhere: only the volume counts."""

    def notify(self, *job_ids: str) -> bool:
        return True
