"""Compare killed and resumed scripts with untouched ones: `python -m proofs.script_proof --kills 10 --seed 1`.

Each script of `examples/scripts` runs once untouched. Then it runs `--kills` times, each time killed one to three times
at random batches, file operations, half-written files, half-saved models, half rows and evaluated batches. What is
promised to be exact must end the same: the stop, the log, each file that the script leaves, the evaluation, and the
whole state after each call of `fit`. Other scripts must report that they are inexact, and finish. Several scripts run
at a time (`--at-once`), because a killed run mostly waits.
"""

import argparse
import os
import random
import sys
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.context import ForkServerContext
from pathlib import Path

from shared.events import job_events
from shared.job_folder import JobFolder
from shared.volume import Volume
from tests.support.dying_scripts import INEXACT, kinds_of_resume, random_kills, run_script
from tests.support.killing import deaths, preloaded_forks
from tests.support.scripts import SCRIPTS, ScriptOutcome, script_outcome


def main() -> int:
    asked = _arguments()
    names = asked.names or sorted(path.stem for path in SCRIPTS.glob("*.py"))
    forks = preloaded_forks()
    with tempfile.TemporaryDirectory(prefix="fitstop-scripts-") as folder, ThreadPoolExecutor(asked.at_once) as pool:
        proofs = [_Proof(Volume(Path(folder) / name), forks, name, asked.seed) for name in names]
        # A killed run waits for the untouched run of its script, which was submitted before it.
        found = [pool.submit(one.run_untouched) for one in proofs]
        found += [pool.submit(one.run_killed, number) for number in range(asked.kills) for one in proofs]
        broken = sum(one.result() for one in found)
    print(f"seed {asked.seed}: {len(names)} scripts, {asked.kills} killed runs each, {broken} promises broken")
    return 1 if broken else 0


class _Proof:
    """The runs of one script. Each returns whether a promise was broken."""

    def __init__(self, volume: Volume, forks: ForkServerContext, name: str, seed: int) -> None:
        self._volume = volume
        self._forks = forks
        self._name = name
        self._seed = seed
        self._untouched: Future[ScriptOutcome] = Future()

    def run_untouched(self) -> bool:
        try:
            job = run_script(self._volume, self._forks, SCRIPTS / f"{self._name}.py")
            outcome, said = script_outcome(job), kinds_of_resume(job)
        except BaseException as error:
            self._untouched.set_exception(error)
            raise
        self._untouched.set_result(outcome)
        print(f"{self._name}: {', '.join(sorted(said))}, {outcome.ending['stop']['last_epoch']} epochs", flush=True)
        return said != ({"inexact"} if self._name in INEXACT else {"exact"})

    def run_killed(self, number: int) -> bool:
        untouched = self._untouched.result()
        chance = random.Random(f"{self._name} {self._seed} {number}")
        kills = random_kills(chance)
        try:
            killed = run_script(
                self._volume, self._forks, SCRIPTS / f"{self._name}.py", kills, chance.choice([60, 0.05])
            )
        except AssertionError as error:
            print(f"{self._name}, run {number + 1}, {kills}: {error}", flush=True)
            return True
        differs = _differences(untouched, script_outcome(killed)) if self._name not in INEXACT else []
        differs += [message for message in _resume_warnings(killed) if "another model" in message]
        died = ", ".join(deaths(killed))
        print(f"{self._name}, run {number + 1}, killed at {died}: {', '.join(differs) or 'as promised'}", flush=True)
        return bool(differs)


def _resume_warnings(job: JobFolder) -> list[str]:
    """The job's warnings about resume points that could not be used."""
    return [one.event.message for one in job_events(job) if one.event.type == "resume" and one.event.level == "warning"]


def _differences(one: ScriptOutcome, other: ScriptOutcome) -> list[str]:
    return [f"another {name}" for name in vars(one) if getattr(one, name) != getattr(other, name)]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=(os.cpu_count() or 1) + 1)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
