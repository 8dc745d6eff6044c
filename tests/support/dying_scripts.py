"""A script's job killed at random moments, beside its untouched twin."""

import random
from collections.abc import Sequence
from multiprocessing.context import ForkServerContext
from pathlib import Path

from shared.events import job_events
from shared.job_folder import JobFolder
from shared.volume import Volume
from tests.support.both_stores import Machines
from tests.support.killing import Kill, Kind, run_to_the_end
from tests.support.scripts import put_script_job

# For a run of a script of `examples/scripts` how many moments of each kind there are, about.
SCRIPT_MOMENTS: dict[Kind, int] = {
    "batch": 60, "operation": 150, "half file": 15, "half row": 8, "half model": 3, "evaluated batch": 3,
}  # fmt: skip
# What cannot be exact, and says so.
INEXACT = frozenset({"tf_data"})


def run_script(
    volume: Volume,
    forks: ForkServerContext,
    script: str | Path,
    kills: Sequence[Kill] = (),
    resume_seconds: float = 60,
    machines: Machines | None = None,
) -> JobFolder:
    """Post a script's job and run it to its end, an attempt for each kill before the last one."""
    job = put_script_job(volume, script)
    if machines is not None:
        machines.upload(volume.programs.folder)
    run_to_the_end(job, forks, kills, resume_seconds, machines=machines)
    return job


def kinds_of_resume(job: JobFolder) -> set[str]:
    """What its calls of `fit` promise of an interruption."""
    told = (placed.event for placed in job_events(job) if placed.event.type == "fit")
    return {event.data["resume"] for event in told if "resume" in event.data}


def random_kills(chance: random.Random) -> list[Kill]:
    """One to three."""
    kinds = [chance.choice(list(SCRIPT_MOMENTS)) for _ in range(chance.randint(1, 3))]
    return [Kill(kind, chance.randint(1, SCRIPT_MOMENTS[kind])) for kind in kinds]
