"""A killed run on images and arrays equals one that was never killed.

Three kinds here, each on one engine; `make resume-proof-kinds` kills any number of jobs, of every kind.
"""

from collections.abc import Callable
from functools import cache
from multiprocessing.context import ForkServerContext

import pytest

from shared.events import job_events
from shared.volume import Volume
from tests.support.both_stores import Machines
from tests.support.jobs import put_job
from tests.support.killing import Kill, Outcome, deaths, kind_resume_job, outcome, run_to_the_end
from tests.support.kinds import put_kinds

# Each dies while it decodes or reads, between two batches of an epoch, and with half a file written.
KILLS = {
    ("augmented images", "fused"): [Kill("decoded image", 70), Kill("batch", 8), Kill("half file", 9)],
    ("mixed images", "fused"): [Kill("batch", 11)],
    ("two inputs", "stock"): [Kill("batch", 7), Kill("half row", 2)],
    ("earlier job", "stock"): [Kill("half file", 3), Kill("batch", 4)],
}


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory, forks: ForkServerContext) -> Callable[[str, str], Outcome]:
    """Return the outcome of a job that is never killed."""
    volume = Volume(tmp_path_factory.mktemp("untouched"))
    put_kinds(volume, 120)

    @cache
    def run(kind: str, engine: str) -> Outcome:
        job = put_job(volume, kind_resume_job(kind, engine))
        run_to_the_end(job, forks)
        return outcome(job)

    return run


@pytest.mark.both_stores
@pytest.mark.parametrize(("kind", "engine"), KILLS)
def test_a_killed_run_equals_the_untouched_one(
    volume: Volume,
    machines: Machines,
    forks: ForkServerContext,
    untouched: Callable[[str, str], Outcome],
    kind: str,
    engine: str,
) -> None:
    put_kinds(volume, 120)
    machines.upload(volume.datasets)
    kills = KILLS[kind, engine]
    killed = put_job(volume, kind_resume_job(kind, engine))
    run_to_the_end(killed, forks, kills, resume_seconds=1e-6, machines=machines)
    assert deaths(killed) == [kill.kind for kill in kills]
    assert outcome(killed) == untouched(kind, engine)
    resumed = [placed for placed in job_events(killed) if placed.event.type == "resume"]
    assert resumed, "the run continued from a point"
