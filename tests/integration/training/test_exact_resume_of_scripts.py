"""A script that is killed and starts again at its first line ends like one that was never killed.

Five scripts here; `make script-proof` kills all of `examples/scripts` any number of times.
"""

from multiprocessing.context import ForkServerContext

import pytest

from shared.events import job_events
from shared.job_folder import JobFolder
from shared.volume import Volume
from tests.support.both_stores import Machines
from tests.support.dying_scripts import kinds_of_resume, run_script
from tests.support.killing import Kill
from tests.support.scripts import SCRIPTS, ScriptOutcome, script_outcome


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory, forks: ForkServerContext) -> dict[str, ScriptOutcome]:
    volume = Volume(tmp_path_factory.mktemp("untouched"))
    jobs = {
        name: run_script(volume, forks, SCRIPTS / f"{name}.py")
        for name in ("two_stages", "own_callbacks", "py_dataset", "tf_data_by_epoch", "two_optimizers")
    }
    assert all(kinds_of_resume(job) == {"exact"} for job in jobs.values())
    return {name: script_outcome(job) for name, job in jobs.items()}


def resumed_at(job: JobFolder) -> list[int]:
    return [placed.event.data["epoch"] for placed in job_events(job) if "from_attempt" in placed.event.data]


@pytest.mark.both_stores
@pytest.mark.parametrize("kill", [Kill("batch", 30), Kill("batch", 75), Kill("half row", 11)])
def test_a_script_of_two_stages_is_exact_in_each_of_them(
    volume: Volume, machines: Machines, forks: ForkServerContext, untouched: dict[str, ScriptOutcome], kill: Kill
) -> None:
    job = run_script(volume, forks, SCRIPTS / "two_stages.py", [kill], 1e-6, machines)
    assert script_outcome(job) == untouched["two_stages"]
    assert resumed_at(job)


@pytest.mark.both_stores
@pytest.mark.parametrize(("name", "batch"), [("py_dataset", 41), ("tf_data_by_epoch", 45), ("two_optimizers", 39)])
def test_a_script_goes_on_inside_an_epoch(
    volume: Volume,
    machines: Machines,
    forks: ForkServerContext,
    untouched: dict[str, ScriptOutcome],
    name: str,
    batch: int,
) -> None:
    job = run_script(volume, forks, SCRIPTS / f"{name}.py", [Kill("batch", batch)], 0, machines)
    assert script_outcome(job) == untouched[name]
    assert all(placed.event.data["batch"] for placed in job_events(job) if "from_attempt" in placed.event.data)
    assert resumed_at(job)


@pytest.mark.both_stores
def test_a_script_that_is_killed_after_its_last_call_returns_what_that_had_returned(
    volume: Volume, machines: Machines, forks: ForkServerContext, untouched: dict[str, ScriptOutcome]
) -> None:
    kills = [Kill("batch", 20), Kill("batch", 10**6)]
    job = run_script(volume, forks, SCRIPTS / "own_callbacks.py", kills, machines=machines)
    assert script_outcome(job) == untouched["own_callbacks"]
