"""A job on two devices, virtual ones of the CPU: the numbers of one device, and an exact resume."""

import random
from multiprocessing.context import ForkServerContext
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

from shared.job_folder import JobFolder
from shared.volume import Volume
from tests.support.jobs import learnable_frame, put_dataset, rows_of
from tests.support.killing import Kill, deaths, outcome, preloaded_forks, resume_job, run_killed


@pytest.fixture(scope="module")
def forks() -> ForkServerContext:
    return preloaded_forks()


@pytest.fixture
def graded(volume: Volume) -> Volume:
    put_dataset(volume, learnable_frame(160))
    return volume


def log_of(job: JobFolder) -> pd.DataFrame:
    return rows_of(job.attempts()[-1].training_log)


def test_two_devices_give_the_numbers_of_one(graded: Volume, forks: ForkServerContext) -> None:
    """128 training rows: the batches of 127 are divided unevenly, and the last one has one row for two devices.

    Clipping by the norm of all gradients shows whether they are clipped before they are added up.
    """
    spec: dict[str, Any] = {
        "hyperparameters": {
            "epochs": 10, "batch_size": 127, "learning_rate": 0.1, "class_weight": "balanced",
            "metrics": ["accuracy", "auc"], "optimizer": {"name": "sgd", "momentum": 0.9, "global_clipnorm": 0.05},
        }
    }  # fmt: skip
    one, two = (
        run_killed(graded, forks, [], 60, {**spec, "hyperparameters": {**spec["hyperparameters"], **how}})
        for how in ({"engine": "stock", "xla": False}, {"devices": 2})
    )
    plan = two.plan()
    assert plan is not None
    assert (plan.engine, plan.xla, plan.devices, plan.steps_per_epoch) == ("stock", False, 2, 2)
    assert list(log_of(one).columns) == list(log_of(two).columns)
    np.testing.assert_allclose(log_of(one).to_numpy(), log_of(two).to_numpy(), rtol=1e-5, atol=1e-5)


def test_a_killed_run_on_two_devices_equals_the_untouched_one(graded: Volume, forks: ForkServerContext) -> None:
    """With dropout and batch normalization, saved after each batch and killed inside an epoch and while it saves."""
    spec = resume_job("two devices")
    untouched = outcome(run_killed(graded, forks, [], 60, spec))
    kills = [Kill("batch", random.Random("two devices").randint(10, 30))]
    killed = run_killed(graded, forks, kills, 0, spec)
    assert deaths(killed) == ["batch"]
    assert outcome(killed) == untouched


def test_keras_has_the_private_names_that_several_devices_need() -> None:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse")
    for name in ("_compute_loss", "_loss_tracker", "_maybe_symbolic_build"):
        assert hasattr(model, name), name
    assert hasattr(model.optimizer, "_all_reduce_sum_gradients")
    assert hasattr(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD()), "inner_optimizer")
