"""Jobs of scripts that are killed at random moments, to compare with a run that was not killed."""

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

# Approximate number of moments of each kind in a run of a script of `examples/scripts`.
SCRIPT_MOMENTS: dict[Kind, int] = {
    "batch": 60, "operation": 150, "half file": 15, "half row": 8, "half model": 3, "evaluated batch": 3,
}  # fmt: skip
# The kinds of resume that cannot be exact, and report it.
INEXACT = frozenset({"tf_data"})


def run_script(
    volume: Volume,
    forks: ForkServerContext,
    script: str | Path,
    kills: Sequence[Kill] = (),
    resume_seconds: float = 60,
    machines: Machines | None = None,
) -> JobFolder:
    """Post a script's job and run it to its end, with one attempt for each kill before the last attempt."""
    job = put_script_job(volume, script)
    if machines is not None:
        machines.upload(volume.programs.folder)
    run_to_the_end(job, forks, kills, resume_seconds, machines=machines)
    return job


def kinds_of_resume(job: JobFolder) -> set[str]:
    """The kinds of resume that the job's calls of `fit` promise after an interruption."""
    told = (placed.event for placed in job_events(job) if placed.event.type == "fit")
    return {event.data["resume"] for event in told if "resume" in event.data}


def random_kills(chance: random.Random) -> list[Kill]:
    """One to three random kills."""
    kinds = [chance.choice(list(SCRIPT_MOMENTS)) for _ in range(chance.randint(1, 3))]
    return [Kill(kind, chance.randint(1, SCRIPT_MOMENTS[kind])) for kind in kinds]
