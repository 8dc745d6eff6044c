"""Compare many killed runs with untouched ones: `python -m proofs.resume_proof --jobs 200 --seed 1 [--kinds]`.

Each job is killed one to five times: at random batches, file operations, half-written files, half-saved models and half
rows, or just before it concludes. Some save inside their epochs. Each trains on one of the engines, and with XLA on
programs that an earlier job compiled. All must end like the untouched job on their engine, which compiled its own: the
same log, stop, checkpoints and last state. With `--engine NAME` all jobs train on that engine.

Without `--kinds` the jobs train dense networks on a table. With it they train on augmented images, arrays and several
inputs, with models of every kind, without XLA, and are also killed while their images are decoded.
"""

import argparse
import multiprocessing
import random
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proofs.say import say
from shared.volume import Volume
from tests.support.jobs import learnable_frame, put_dataset, put_job, small_spec
from tests.support.killing import (
    ALL_ENGINES,
    KIND_MOMENTS,
    MOMENTS,
    Outcome,
    deaths,
    kind_resume_job,
    outcome,
    preloaded_forks,
    resume_job,
    run_to_the_end,
    some_kills,
)
from tests.support.kinds import KINDS, put_kinds


@dataclass(frozen=True)
class Killed:
    """The outcome of one killed job."""

    seed: int
    name: str
    outcome: Outcome
    deaths: list[str]


class Proof:
    """Jobs on one volume, and the outcome of each without kills."""

    def __init__(self, folder: Path, engines: Sequence[str], *, kinds: bool) -> None:
        self._volume = Volume(folder / "volume")
        self._programs = folder / "programs"
        self._forks = preloaded_forks()
        if kinds:
            put_kinds(self._volume)
            engines = [engine for engine in engines if not ALL_ENGINES[engine]["xla"]]
            self._specs = {f"{kind}, {engine}": kind_resume_job(kind, engine) for kind in KINDS for engine in engines}
        else:
            put_dataset(self._volume, learnable_frame(160))
            self._specs = {engine: small_spec(**resume_job(engine)) for engine in engines}
        self._moments = KIND_MOMENTS if kinds else MOMENTS
        self.untouched = {name: self._untouched(spec) for name, spec in self._specs.items()}

    def run(self, seeds: range, at_once: int) -> Iterator[Killed]:
        """Run a killed job for each seed. The specs are taken in turn, so that each is killed equally often."""
        with ThreadPoolExecutor(at_once) as pool:
            yield from pool.map(self._killed, seeds)

    def _untouched(self, spec: dict[str, Any]) -> Outcome:
        job = put_job(self._volume, spec)
        run_to_the_end(job, self._forks)
        return outcome(job)

    def _killed(self, seed: int) -> Killed:
        chance = random.Random(seed)
        name = list(self._specs)[seed % len(self._specs)]
        saves = chance.choice([60, 0.05])
        job = put_job(self._volume, self._specs[name])
        run_to_the_end(job, self._forks, some_kills(chance, self._moments), saves, programs=self._programs)
        return Killed(seed, name, outcome(job), deaths(job))


def main() -> int:
    """Run, print one table, and exit with 0 only if every run was equal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--kinds", action="store_true", help="images, arrays, and models of every kind")
    parser.add_argument(
        "--engine", action="append", choices=ALL_ENGINES, help="train on this one alone; again for more"
    )
    asked = parser.parse_args()
    found: list[Killed] = []
    different: list[Killed] = []
    with tempfile.TemporaryDirectory() as folder:
        proof = Proof(Path(folder), asked.engine or list(ALL_ENGINES), kinds=asked.kinds)
        for one in proof.run(range(asked.seed * 1_000_000, asked.seed * 1_000_000 + asked.jobs), asked.at_once):
            found.append(one)
            if one.outcome != proof.untouched[one.name]:
                different.append(one)
            if len(found) % 20 == 0:
                say(f"{len(found)} jobs, {sum(len(one.deaths) for one in found)} kills, {len(different)} different")
    _report(asked.seed, found, different)
    return 1 if different else 0


def _report(seed: int, found: list[Killed], different: list[Killed]) -> None:
    say(f"seed {seed}: {len(found) - len(different)} of {len(found)} jobs equal the untouched one")
    _table(f"{sum(len(one.deaths) for one in found)} kills, at", Counter(what for one in found for what in one.deaths))
    _table("jobs of each kind", Counter(one.name for one in found))
    _table("jobs by number of kills", Counter(len(one.deaths) for one in found))
    if different:
        say(f"different: {', '.join(f'{one.seed} ({one.name})' for one in different)}")


def _table(title: str, counts: "Counter[Any]") -> None:
    say(title)
    for what, count in counts.most_common():
        say(f"  {count:5d}  {what}")


if __name__ == "__main__":
    multiprocessing.freeze_support()
    raise SystemExit(main())
