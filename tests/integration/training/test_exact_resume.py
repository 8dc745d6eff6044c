"""A killed run that continues equals an uninterrupted one: the promise on which everything else rests.

A few seeded jobs on each engine here; `make resume-proof` runs any number.
"""

import os
import random
import sys
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest

from shared.evaluation import read_evaluation
from shared.events import job_events
from shared.job_folder import JobFolder
from shared.volume import Volume
from tests.support.both_stores import Machines
from tests.support.jobs import learnable_frame, put_dataset
from tests.support.killing import (
    ENGINES,
    Kill,
    Outcome,
    deaths,
    outcome,
    resume_job,
    run_killed,
    some_kills,
)


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory, forks: ForkServerContext) -> dict[str, Outcome]:
    volume = Volume(tmp_path_factory.mktemp("untouched"))
    put_dataset(volume, learnable_frame(160))
    return {engine: outcome(run_killed(volume, forks, [], 60, resume_job(engine))) for engine in ENGINES}


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled programs that killed runs share; untouched runs compile their own."""
    return tmp_path_factory.mktemp("programs")


def test_a_process_of_the_fork_server_imports_nothing_more_for_a_table_and_the_server_has_one_thread(
    forks: ForkServerContext,
) -> None:
    here, there = forks.Pipe()
    process = forks.Process(target=count_new_modules, args=(there,))
    process.start()
    new_modules, threads_of_server = here.recv()
    process.join()
    assert (new_modules, threads_of_server) == ([], 1)


def count_new_modules(pipe: Connection) -> None:
    from worker.training.preload import prepare_table

    before, threads = set(sys.modules), len(list(Path(f"/proc/{os.getppid()}/task").iterdir()))
    random_before = random.getstate()
    prepare_table()
    assert random.getstate() == random_before
    pipe.send((sorted(set(sys.modules) - before), threads))


# Each engine is killed inside an epoch below.
@pytest.mark.both_stores
@pytest.mark.parametrize("engine", ["fused with XLA", "stock"])
def test_a_run_that_is_killed_at_random_equals_the_untouched_one(
    graded: Volume,
    machines: Machines,
    forks: ForkServerContext,
    untouched: dict[str, Outcome],
    programs: Path,
    engine: str,
) -> None:
    chance = random.Random(f"{engine} 1")
    kills = some_kills(chance)
    job = run_killed(graded, forks, kills, chance.choice([60, 0.05]), resume_job(engine), programs, machines)
    assert outcome(job) == untouched[engine], kills


@pytest.mark.both_stores
def test_a_run_that_is_killed_while_its_best_model_is_evaluated_is_evaluated_by_the_next_attempt(
    graded: Volume, machines: Machines, forks: ForkServerContext, untouched: dict[str, Outcome]
) -> None:
    whole = run_killed(graded, forks, [], 60, resume_job("fused"))
    kills = [Kill("evaluated batch", 1)] * 2
    job = run_killed(graded, forks, kills, 60, resume_job("fused"), machines=machines)
    assert deaths(job) == ["evaluated batch"] * 2
    assert outcome(job) == untouched["fused"]
    assert evaluations(job) == [None, None, *evaluations(whole)]


def evaluations(job: JobFolder) -> list[dict[str, Any] | None]:
    """Return what the evaluation of each attempt says about the model."""
    found = [read_evaluation(attempt) for attempt in job.attempts()]
    return [one and one.model_dump(exclude={"computed_at", "seconds"}) for one in found]


@pytest.mark.both_stores
@pytest.mark.parametrize("engine", ENGINES)
def test_a_point_inside_an_epoch_is_exact(
    graded: Volume, machines: Machines, forks: ForkServerContext, untouched: dict[str, Outcome], engine: str
) -> None:
    job = run_killed(graded, forks, [Kill("batch", 37)], 1e-6, resume_job(engine), machines=machines)
    resumed = [placed.event.data for placed in job_events(job) if placed.event.type == "resume"]
    assert outcome(job) == untouched[engine]
    assert resumed, "the run went on from a point"
