"""Preparing TensorFlow for a run, in a process of its own, because the settings are permanent."""

import resource

import numpy as np
import pytest
import tensorflow as tf

from shared.job import EnginePlan
from tests.support.forked import call_in_fork
from worker.training.engine.device import prepare_tensorflow


def count_page_faults() -> int:
    """Count the page faults of ten arrays of 64 MB, one after the other."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        np.ones(8 * 1024 * 1024)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def count_page_faults_before_and_after() -> tuple[int, int]:
    before = count_page_faults()
    prepare_tensorflow(
        EnginePlan(engine="fused", xla=True, threads=1, validation_batch=1, steps_per_epoch=1, reason="-")
    )
    count_page_faults()
    return before, count_page_faults()


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
    before, after = call_in_fork(count_page_faults_before_and_after)
    assert after < before / 100, "64 MB are mapped anew each time"
