"""A killed run that goes on equals one that was never touched: the promise that everything else rests on.

A few seeded jobs here; `make resume-proof` runs as many as are wanted.
"""

import multiprocessing
import random
import signal
from multiprocessing.context import ForkServerContext
from typing import Any

import pytest

from shared.events import job_events
from shared.job import AttemptEnd
from shared.job_folder import JobFolder
from shared.times import utc_now
from shared.volume import Volume
from tests.support.jobs import claim, learnable_frame, put_dataset, put_job, small_spec
from tests.support.killing import KINDS, Kill, Outcome, outcome, train

JOB: dict[str, Any] = {
    "dataset": {"target": "grade", "positive": None},
    "model": {"layers": [8, 8], "dropout": 0.3, "batch_normalization": True},
    "hyperparameters": {"epochs": 14, "batch_size": 16, "learning_rate": 0.02},
    "callbacks": {
        "early_stopping": {"patience": 5, "min_delta": 0.02},
        "reduce_lr_on_plateau": {"patience": 1, "factor": 0.5, "cooldown": 1, "min_delta": 0.01},
        "model_checkpoint": {"keep": 2},
    },
}


@pytest.fixture(scope="module")
def forks() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["worker.training.preload", "tests.support.killing"])
    return context


@pytest.fixture
def graded(volume: Volume) -> Volume:
    put_dataset(volume, learnable_frame(160))
    return volume


def run_job(
    volume: Volume, forks: ForkServerContext, kills: list[Kill], resume_seconds: float, **job: Any
) -> JobFolder:
    """Attempts until one concludes; the first ones are killed as told, those for which a kill is left."""
    folder = put_job(volume, small_spec(**(job or JOB)))
    for number in range(1, len(kills) + 2):
        attempt = claim(folder, number)
        kill = kills[number - 1] if number <= len(kills) else None
        told = (kill.kind, kill.number) if kill else None
        process = forks.Process(target=train, args=(str(attempt.path), told, str(resume_seconds)))
        process.start()
        process.join(120)
        if attempt.conclusion() is not None:
            return folder
        assert process.exitcode == -signal.SIGKILL, attempt.output_file.read_text()
        attempt.close(AttemptEnd(outcome="failed", ended_at=utc_now()))
    raise AssertionError("the last attempt was not killed and did not conclude")


def some_kills(chance: random.Random) -> list[Kill]:
    most = {"batch": 110, "operation": 260, "half file": 40, "half model": 6, "half row": 12}
    kinds = [chance.choice(KINDS) for _ in range(chance.randint(1, 5))]
    return [Kill(kind, chance.randint(1, most[kind])) for kind in kinds]


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory, forks: ForkServerContext) -> Outcome:
    volume = Volume(tmp_path_factory.mktemp("untouched"))
    put_dataset(volume, learnable_frame(160))
    return outcome(run_job(volume, forks, [], 60))


@pytest.mark.parametrize("seed", range(6))
def test_a_run_that_is_killed_at_random_equals_the_untouched_one(
    graded: Volume, forks: ForkServerContext, untouched: Outcome, seed: int
) -> None:
    chance = random.Random(seed)
    kills = some_kills(chance)
    job = run_job(graded, forks, kills, chance.choice([60, 0.05]))
    assert outcome(job) == untouched, kills


@pytest.mark.parametrize("batch", [12, 37])
def test_a_point_inside_an_epoch_is_exact(
    graded: Volume, forks: ForkServerContext, untouched: Outcome, batch: int
) -> None:
    job = run_job(graded, forks, [Kill("batch", batch)], 1e-6)
    resumed = [placed.event.data for placed in job_events(job) if placed.event.type == "resume"]
    assert outcome(job) == untouched
    assert resumed, "the run went on from a point"
