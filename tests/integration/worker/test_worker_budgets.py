"""A budget and what comes behind it, through the API, a real worker and real training children."""

import keras

from shared.history import JobReader
from shared.job_folder import JobFolder
from shared.ledger import ledger
from shared.manifest import read_manifest
from shared.queue import JobQueue
from shared.volume import Volume
from tests.support.extending import content, extended
from tests.support.jobs import put_job, rows_of, small_spec
from tests.support.waiting import wait_for
from tests.support.worker_process import WorkerProcess

SECONDS = 10.0


def over(job: JobFolder, job_queue: JobQueue) -> JobFolder:
    job_queue.notify(job.id)
    wait_for(job.result, 120, saying=f"{job.id} ends")
    return job


def test_a_job_ends_within_its_budget_with_its_best_model_and_goes_on_in_one_unbroken_log(
    shared_volume: Volume, shared_job_queue: JobQueue, worker: WorkerProcess
) -> None:
    limited = small_spec(
        hyperparameters={"epochs": 50_000, "xla": False},
        callbacks={"early_stopping": None},
        budget={"max_gpu_seconds": SECONDS},
    )
    first = over(put_job(shared_volume, limited), shared_job_queue)
    result = first.result()
    assert result is not None
    stop = result.ending.stop
    assert stop is not None
    assert (result.ending.status, stop.reason) == ("succeeded", "budget")
    assert stop.budget is not None
    assert stop.budget.limit == SECONDS
    manifest = read_manifest(first.attempts()[0].manifest_file)
    keras.models.load_model(first.attempts()[0].checkpoints / str(manifest.best))
    history = JobReader(first).read_on()
    assert history is not None
    held = ledger(history)
    assert held.avoided == 0, "the epochs were wanted"

    before = content(first.path)
    second = over(extended(shared_volume, first, budget=None, epochs=stop.last_epoch + 3), shared_job_queue)
    log = second.attempts()[-1].training_log
    assert rows_of(log)["epoch"].tolist() == list(range(stop.last_epoch + 3))
    assert log.read_bytes().startswith(before["attempts/1/training_log.csv"])
    assert content(first.path) == before
