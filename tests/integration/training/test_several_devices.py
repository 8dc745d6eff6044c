"""A job on two devices, virtual ones of the CPU: the numbers of one device, and an exact resume."""

from typing import Any

import keras
import numpy as np

from shared.job_folder import JobFolder
from shared.settings import Settings
from shared.volume import Volume
from tests.support.jobs import claim, learnable_frame, put_dataset, put_job, rows_of, small_spec
from tests.support.killing import Kill, deaths, outcome, preloaded_forks, resume_job, run_killed
from worker.training.run import run
from worker.training.stop_requests import StopRequests

# Of the 128 training rows 127 are divided unevenly, and the last batch has one row for two devices. Clipping by the
# norm of all gradients shows whether they are added up before.
_HYPERPARAMETERS: dict[str, Any] = {
    "epochs": 10, "batch_size": 127, "learning_rate": 0.1, "class_weight": "balanced", "engine": "stock",
    "metrics": ["accuracy", "auc"], "optimizer": {"name": "sgd", "momentum": 0.9, "global_clipnorm": 0.05},
}  # fmt: skip


def train_on_one_device(volume: Volume) -> JobFolder:
    job = put_job(volume, small_spec(hyperparameters={**_HYPERPARAMETERS, "xla": False}))
    attempt = claim(job)
    attempt.conclude(run(attempt, StopRequests(attempt, 60), Settings()))
    return job


def test_two_devices_give_the_numbers_of_one(volume: Volume) -> None:
    put_dataset(volume, learnable_frame(160))
    two = run_killed(volume, preloaded_forks(), [], 60, {"hyperparameters": {**_HYPERPARAMETERS, "devices": 2}})
    plan = two.plan()
    assert plan is not None
    assert (plan.engine, plan.xla, plan.devices, plan.steps_per_epoch) == ("stock", False, 2, 2)
    one, both = (rows_of(job.attempts()[-1].training_log) for job in (train_on_one_device(volume), two))
    assert list(one.columns) == list(both.columns)
    np.testing.assert_allclose(one.to_numpy(), both.to_numpy(), rtol=1e-5, atol=1e-5)


def test_a_run_on_two_devices_resumes_inside_an_epoch_bit_for_bit(volume: Volume) -> None:
    """With dropout, and with batch normalization, of which each device has statistics of its own."""
    put_dataset(volume, learnable_frame(160))
    forks, spec = preloaded_forks(), resume_job("two devices")
    spec = {**spec, "hyperparameters": {**spec["hyperparameters"], "epochs": 3}}
    killed, untouched = (run_killed(volume, forks, kills, 0, spec) for kills in ([Kill("batch", 12)], []))
    assert deaths(killed) == ["batch"]
    assert outcome(killed) == outcome(untouched)


def test_keras_has_the_private_names_that_several_devices_need() -> None:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse")
    for name in ("_compute_loss", "_loss_tracker", "_maybe_symbolic_build"):
        assert hasattr(model, name), name
    assert hasattr(model.optimizer, "_all_reduce_sum_gradients")
    assert hasattr(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD()), "inner_optimizer")
