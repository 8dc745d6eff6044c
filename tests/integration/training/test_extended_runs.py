"""A job that extends another one equals the job that had its settings from the start, bit for bit."""

import random
from multiprocessing.context import ForkServerContext
from typing import Any

import pytest

from shared.job_folder import JobFolder
from shared.open_job import OpenJob
from shared.volume import Volume
from tests.support.both_stores import Machines
from tests.support.extending import content, end, extended
from tests.support.jobs import learnable_frame, put_dataset, put_job, rows_of, small_spec
from tests.support.killing import (
    Kill,
    Outcome,
    outcome,
    resume_job,
    run_killed,
    run_to_the_end,
    some_kills,
)

USED = ("fused with XLA", "fused", "stock")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, forks: ForkServerContext) -> dict[str, Outcome]:
    """The job that had the larger settings from the start, on each engine."""
    volume = Volume(tmp_path_factory.mktemp("whole"))
    put_dataset(volume, learnable_frame(160))
    return {engine: outcome(run_killed(volume, forks, [], 60, resume_job(engine))) for engine in USED}


def over(
    volume: Volume,
    forks: ForkServerContext,
    spec: dict[str, Any],
    kills: list[Kill],
    looks: int | None = None,
    machines: Machines | None = None,
) -> JobFolder:
    job = put_job(volume, small_spec(**spec))
    run_to_the_end(job, forks, kills, 0.05, looks, machines=machines)
    end(volume, job)
    return job


def reason_of(job: JobFolder) -> str | None:
    result = job.result()
    return result.ending.stop.reason if result and result.ending.stop else None


@pytest.mark.parametrize("engine", ["fused with XLA", "stock"])
def test_a_job_whose_budget_was_used_up_inside_an_epoch_goes_on_as_if_it_had_had_more(
    graded: Volume, forks: ForkServerContext, whole: dict[str, Outcome], engine: str
) -> None:
    looks = random.Random(engine).randint(20, 60)
    first = over(graded, forks, {**resume_job(engine), "budget": {"max_gpu_seconds": 3600}}, [], looks)
    assert reason_of(first) == "budget"
    before = content(first.path)
    second = extended(graded, first, budget=None)
    run_to_the_end(second, forks)
    assert outcome(second) == whole[engine], looks
    assert content(first.path) == before
    assert rows_of(second.attempts()[-1].training_log)["epoch"].tolist() == list(
        range(len(whole[engine].log.splitlines()) - 1)
    )


@pytest.mark.parametrize("engine", ["fused", "stock"])
def test_a_job_that_stopped_early_goes_on_as_if_it_had_had_the_larger_patience(
    graded: Volume, forks: ForkServerContext, whole: dict[str, Outcome], engine: str
) -> None:
    spec = resume_job(engine)
    spec["callbacks"] = {**spec["callbacks"], "early_stopping": {"patience": 1, "min_delta": 0.5}}
    first = over(graded, forks, spec, [])
    assert reason_of(first) == "early_stopping"
    second = extended(graded, first, early_stopping={"patience": 5, "min_delta": 0.02})
    run_to_the_end(second, forks)
    assert outcome(second) == whole[engine]


@pytest.mark.both_stores
@pytest.mark.parametrize("engine", ["fused", "stock"])
def test_more_epochs_and_kills_before_and_after_change_nothing(
    graded: Volume, machines: Machines, forks: ForkServerContext, whole: dict[str, Outcome], engine: str
) -> None:
    chance = random.Random(f"extended {engine}")
    spec = resume_job(engine)
    spec["hyperparameters"] = {**spec["hyperparameters"], "epochs": 4}
    first = over(graded, forks, spec, [Kill("batch", 15)], machines=machines)
    second = extended(graded, first, epochs=9)
    graded.remove_job(OpenJob(5, first.id))
    run_to_the_end(second, forks, [Kill("batch", 8)], 0.05, machines=machines)
    end(graded, second)
    third = extended(graded, second, epochs=14)
    run_to_the_end(third, forks, some_kills(chance), 0.05, machines=machines)
    assert outcome(third) == whole[engine]
