"""A job on two devices, virtual ones of the CPU: the numbers of one device, and an exact resume."""

from typing import Any

import keras
import numpy as np

from shared.job_folder import JobFolder
from shared.settings import Settings
from shared.volume import Volume
from tests.support.jobs import claim, put_job, rows_of
from tests.support.killing import Kill, deaths, kind_resume_job, outcome, preloaded_forks, run_to_the_end
from tests.support.kinds import kind_job, put_kinds
from worker.training.run import run
from worker.training.stop_requests import StopRequests

# The 19 rows of a batch are divided unevenly, and a last batch of one row leaves a device without any. Clipping by the
# norm of all gradients shows whether they are added up before. Batch normalization differs between devices.
_IMAGES: dict[str, Any] = {
    **kind_job(
        "mixed images", epochs=10, batch_size=19, learning_rate=0.1, engine="stock", xla=False,
        metrics=["accuracy", "auc"], optimizer={"name": "sgd", "momentum": 0.9, "global_clipnorm": 0.05},
    ),
    "model": {"kind": "cnn", "filters": [6, 8], "dense": [16], "batch_normalization": False},
}  # fmt: skip


def train_on_one_device(volume: Volume) -> JobFolder:
    job = put_job(volume, _IMAGES)
    attempt = claim(job)
    attempt.conclude(run(attempt, StopRequests(attempt, 60), Settings()))
    return job


def test_two_devices_give_the_numbers_of_one(volume: Volume) -> None:
    put_kinds(volume)
    two = put_job(volume, {**_IMAGES, "hyperparameters": {**_IMAGES["hyperparameters"], "devices": 2}})
    run_to_the_end(two, preloaded_forks())
    plan = two.plan()
    assert plan is not None
    assert (plan.engine, plan.xla, plan.devices) == ("stock", False, 2)
    one, both = (rows_of(job.attempts()[-1].training_log) for job in (train_on_one_device(volume), two))
    assert list(one.columns) == list(both.columns)
    np.testing.assert_allclose(one.to_numpy(), both.to_numpy(), rtol=1e-5, atol=1e-5)


def test_a_run_on_two_devices_resumes_inside_an_epoch_bit_for_bit(volume: Volume) -> None:
    """With augmentation, dropout, and batch normalization, whose statistics are separate for each device.

    `python -m proofs.resume_proof --kinds --engine "two devices"` does it with the other kinds of data and models.
    """
    put_kinds(volume)
    forks, spec = preloaded_forks(), kind_resume_job("augmented images", "two devices")
    spec["hyperparameters"]["epochs"] = 2
    killed, untouched = put_job(volume, spec), put_job(volume, spec)
    run_to_the_end(killed, forks, [Kill("batch", 8)], 0)
    run_to_the_end(untouched, forks, [], 0)
    assert deaths(killed) == ["batch"]
    assert outcome(killed) == outcome(untouched)


def test_keras_has_the_private_names_that_several_devices_need() -> None:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse")
    for name in ("_compute_loss", "_loss_tracker", "_maybe_symbolic_build"):
        assert hasattr(model, name), name
    assert hasattr(model.optimizer, "_all_reduce_sum_gradients")
    assert hasattr(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD()), "inner_optimizer")
