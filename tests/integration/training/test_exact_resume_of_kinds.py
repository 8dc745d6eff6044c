"""A killed run on images and arrays equals one that was never touched.

Three kinds here, each on one engine; `make resume-proof-kinds` kills as many jobs as are wanted, of every kind.
"""

from multiprocessing.context import ForkServerContext

import pytest

from shared.events import job_events
from shared.job_folder import JobFolder
from shared.volume import Volume
from tests.support.jobs import put_job
from tests.support.killing import Kill, deaths, kind_resume_job, outcome, preloaded_forks, run_to_the_end
from tests.support.kinds import put_kinds

# Each dies while it decodes or reads, between two batches of an epoch, and with half a file written.
KILLS = {
    ("augmented images", "fused"): [Kill("decoded image", 70), Kill("batch", 8), Kill("half file", 9)],
    ("mixed images", "fused"): [Kill("batch", 11)],
    ("two inputs", "stock"): [Kill("batch", 7), Kill("half row", 2)],
    ("earlier job", "stock"): [Kill("half file", 3), Kill("batch", 4)],
}


@pytest.fixture(scope="module")
def forks() -> ForkServerContext:
    return preloaded_forks()


def ended(volume: Volume, forks: ForkServerContext, kind: str, engine: str, kills: list[Kill]) -> JobFolder:
    job = put_job(volume, kind_resume_job(kind, engine))
    run_to_the_end(job, forks, kills, resume_seconds=1e-6)
    return job


@pytest.mark.parametrize(("kind", "engine"), KILLS)
def test_a_killed_run_equals_the_untouched_one(
    volume: Volume, forks: ForkServerContext, kind: str, engine: str
) -> None:
    put_kinds(volume, 120)
    kills = KILLS[kind, engine]
    untouched, killed = (ended(volume, forks, kind, engine, one) for one in ([], kills))
    assert deaths(killed) == [kill.kind for kill in kills]
    assert outcome(killed) == outcome(untouched)
    resumed = [placed for placed in job_events(killed) if placed.event.type == "resume"]
    assert resumed, "the run continued from a point"
