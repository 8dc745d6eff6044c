"""Many killed runs against one untouched run: `python -m proofs.resume_proof --jobs 200 --seed 1`.

Each job is killed one to five times, at random batches, file operations, half-written files, half-saved models and half
rows, or just before it concludes; some save inside their epochs; each trains on one of the engines, and with XLA on
programs that an earlier one compiled. All must end as the untouched one on their engine, which compiled its own: the
same log, stop, checkpoints and last state.
"""

import argparse
import multiprocessing
import random
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from shared.volume import Volume
from tests.support.jobs import learnable_frame, put_dataset
from tests.support.killing import ENGINES, Outcome, deaths, outcome, preloaded_forks, resume_job, run_killed, some_kills


def main() -> int:
    """Run, print one table, and exit with 0 only if every run was equal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=2)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as programs:
        volume = Volume(Path(folder))
        put_dataset(volume, learnable_frame(160))
        forks = preloaded_forks()
        untouched = {engine: outcome(run_killed(volume, forks, [], 60, resume_job(engine))) for engine in ENGINES}
        engines: Counter[str] = Counter()
        kinds: Counter[str] = Counter()
        jobs_killed: Counter[int] = Counter()
        different = []

        def one(seed: int) -> tuple[int, str, Outcome, list[str]]:
            chance = random.Random(seed)
            engine = chance.choice(list(ENGINES))
            saves = chance.choice([60, 0.05])
            job = run_killed(volume, forks, some_kills(chance), saves, resume_job(engine), Path(programs))
            return seed, engine, outcome(job), deaths(job)

        seeds = range(asked.seed * 1_000_000, asked.seed * 1_000_000 + asked.jobs)
        with ThreadPoolExecutor(asked.at_once) as pool:
            for seed, engine, ended, killed_at in pool.map(one, seeds):
                engines[engine] += 1
                jobs_killed[len(killed_at)] += 1
                kinds.update(killed_at)
                if ended != untouched[engine]:
                    different.append(seed)
                if jobs_killed.total() % 20 == 0:
                    sys.stdout.write(f"{jobs_killed.total()} jobs, {kinds.total()} kills, {len(different)} different\n")
                    sys.stdout.flush()
    equal = asked.jobs - len(different)
    sys.stdout.write(f"seed {asked.seed}: {equal} of {asked.jobs} jobs equal the untouched one\n")
    sys.stdout.write(f"{kinds.total()} kills, at\n")
    sys.stdout.write("".join(f"  {count:5d}  {what}\n" for what, count in kinds.most_common()))
    sys.stdout.write("jobs on each engine\n")
    sys.stdout.write("".join(f"  {jobs:5d}  {engine}\n" for engine, jobs in engines.most_common()))
    sys.stdout.write("jobs killed so many times\n")
    sys.stdout.write("".join(f"  {jobs:5d}  {times}\n" for times, jobs in sorted(jobs_killed.items())))
    if different:
        sys.stdout.write(f"different: {different}\n")
    return 1 if different else 0


if __name__ == "__main__":
    multiprocessing.freeze_support()
    raise SystemExit(main())
