"""Sweeps with trials that have ended, written by hand."""

from typing import Any

from shared.events import Event
from shared.ids import new_job_id, new_sweep_id
from shared.job import AttemptEnd, Ending, Stop, TrialOf
from shared.open_job import OpenJob
from shared.project import DEFAULT_PROJECT
from shared.sweep.check import check
from shared.sweep.folder import SweepFolder, SweepRecord, TrialRecord, sweep_folder
from shared.times import utc_now
from shared.volume import Volume
from tests.support.epochs import epoch, tell
from tests.support.jobs import claim, put_job, small_spec
from tests.support.sweeps import judge_of, sweep_document

RATE, LAYERS = "/hyperparameters/learning_rate", "/model/layers"


def bare_sweep(
    volume: Volume, project: str = DEFAULT_PROJECT, dataset_id: str = "grades", trials: int = 6
) -> SweepFolder:
    """A sweep without trials."""
    document = sweep_document(job=small_spec(name=f"{project}-sweep", dataset={"id": dataset_id}), trials=trials)
    document["objective"] = {"monitor": "val_accuracy"}
    checked = check(document, judge_of(volume))
    record = SweepRecord(
        id=new_sweep_id(),
        created_at=utc_now(),
        spec=checked.spec,
        data_sha256=checked.data_sha256,
        key_id="key",
        project=project,
    )
    folder = sweep_folder(volume, record.id)
    folder.store(record)
    return folder


def running_sweep(volume: Volume, values: tuple[float, ...] = (0.5, 0.6)) -> SweepFolder:
    """A sweep with an ended trial for each best accuracy in `values`, the last one outclassed, and a waiting trial."""
    folder = bare_sweep(volume)
    for number, value in enumerate(values, start=1):
        end_trial(volume, folder, number, value, "outclassed" if number == len(values) else "epochs_completed")
    propose(volume, folder, len(values) + 1)
    return folder


def ended_sweep(volume: Volume) -> SweepFolder:
    """The sweep of `running_sweep` after its end."""
    folder = running_sweep(volume)
    trial = folder.trial(3)
    assert trial is not None
    job = volume.job_folder(trial.job)
    job.settle(Ending(status="cancelled", stop=Stop(reason="cancelled")), None)
    volume.close_job(OpenJob(5, job.id))
    folder.end("completed", "all 3 trials have ended")
    return folder


def propose(volume: Volume, folder: SweepFolder, number: int) -> TrialRecord:
    """Put a trial and its job, which waits."""
    record = folder.record()
    assert record is not None
    parameters: dict[str, Any] = {RATE: 0.01 * number, LAYERS: [8]}
    trial = TrialRecord(number=number, parameters=parameters, job=new_job_id(), proposed_at=utc_now())
    folder.propose(trial)
    put_job(volume, record.spec.job, record.project, trial.job, TrialOf(id=folder.id, trial=number))
    return trial


def end_trial(volume: Volume, folder: SweepFolder, number: int, value: float, reason: str) -> None:
    """Put an ended trial of three epochs whose best validation accuracy is `value`."""
    trial = propose(volume, folder, number)
    job = volume.job_folder(trial.job)
    attempt = claim(job, dollars_per_hour=2.0)
    tell(attempt, Event("started", "at work", {"pid": 1}), *(epoch(n, value - 0.1 * (3 - n)) for n in (1, 2, 3)))
    ending = Ending(status="succeeded", stop=Stop(reason=reason, last_epoch=3))
    attempt.close(AttemptEnd(outcome="finished", ended_at=utc_now(), ending=ending, held_seconds=6.0))
    job.settle(ending, 1)
    record = job.record()
    assert record is not None
    volume.close_job(OpenJob.of(record))
