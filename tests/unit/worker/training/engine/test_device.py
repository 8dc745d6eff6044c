"""TensorFlow made ready for a run, in a process of its own: what is set there stays set."""

import subprocess
import sys

import pytest
import tensorflow as tf

from shared.job import EnginePlan
from worker.training.engine.device import prepare_tensorflow

PROGRAM = """
import resource
import numpy as np
from shared.job import EnginePlan
from worker.training.engine.device import prepare_tensorflow

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        np.ones(8 * 1024 * 1024)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = faults()
prepare_tensorflow(EnginePlan(engine="fused", xla=True, threads=1, validation_batch=1, steps_per_epoch=1, reason="-"))
faults()
print(before, faults())
"""


@pytest.mark.parametrize("rewrites", [True, False])
def test_the_plan_says_whether_tensorflow_rewrites_graphs(rewrites: bool) -> None:
    before = tf.config.optimizer.get_experimental_options()
    plan = EnginePlan(
        engine="fused",
        xla=False,
        threads=1,
        validation_batch=1,
        steps_per_epoch=1,
        reason="-",
        rewrites_graphs=rewrites,
    )
    try:
        prepare_tensorflow(plan)
        assert tf.config.optimizer.get_experimental_options()["disable_meta_optimizer"] != rewrites
    finally:
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False, **before})


def test_freed_memory_is_used_again_without_a_fault_for_each_of_its_pages() -> None:
    printed = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout
    before, after = map(int, printed.split())
    assert after < before / 100, "64 MB are mapped anew each time"
