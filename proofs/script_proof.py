"""Scripts that are killed and resumed, against untouched ones: `python -m proofs.script_proof --kills 10 --seed 1`.

Each script of `examples/scripts` runs once untouched, and then as many times as asked, killed one to three times at
random batches, file operations, half-written files, half-saved models, half rows and evaluated batches. What is
promised to be exact must end the same: the stop, the log, each file that the script leaves, the evaluation, and the
whole state after each call of `fit`. What is not must say so, and come to its end. Several scripts run at a time
(`--at-once`): a killed run mostly waits.
"""

import argparse
import os
import random
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
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
        found = [
            pool.submit(_prove, Volume(Path(folder) / name), forks, name, asked.kills, asked.seed) for name in names
        ]
        broken = sum(one.result() for one in found)
    print(f"seed {asked.seed}: {len(names)} scripts, {asked.kills} killed runs each, {broken} promises broken")
    return 1 if broken else 0


def _prove(volume: Volume, forks: ForkServerContext, name: str, times: int, seed: int) -> int:
    """How many of the killed runs of one script broke the promise."""
    script = SCRIPTS / f"{name}.py"
    job = run_script(volume, forks, script)
    untouched, said = script_outcome(job), kinds_of_resume(job)
    broken = 0 if said == ({"inexact"} if name in INEXACT else {"exact"}) else 1
    print(f"{name}: {', '.join(sorted(said))}, {untouched.ending['stop']['last_epoch']} epochs", flush=True)
    for number in range(times):
        chance = random.Random(f"{name} {seed} {number}")
        kills = random_kills(chance)
        killed = run_script(volume, forks, script, kills, chance.choice([60, 0.05]))
        differs = _differences(untouched, script_outcome(killed)) if name not in INEXACT else []
        differs += [message for message in _resume_warnings(killed) if "another model" in message]
        broken += bool(differs)
        died = ", ".join(deaths(killed))
        print(f"{name}, run {number + 1}, killed at {died}: {', '.join(differs) or 'as promised'}", flush=True)
    return broken


def _resume_warnings(job: JobFolder) -> list[str]:
    """What the job says of resume points that could not be used."""
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
