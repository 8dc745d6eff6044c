"""`python -m proofs.simulation`: see the package's docstring. Exit status 0 only if every promise was kept."""

import argparse
import logging
import multiprocessing
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from proofs.say import say
from proofs.simulation.bucket import BucketPlay
from proofs.simulation.machinery import simulated
from proofs.simulation.shares import in_memory, some_worlds
from proofs.simulation.world import Outcome, Play, run_world

# The worlds of one run have consecutive seeds, and no other run has the same ones.
_WORLDS_OF_A_SEED = 1_000_000
_MOST_TOLD = 20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--interleavings", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--world", type=int, help="run this one world and tell what happened")
    parser.add_argument("--bucket", action="store_true", help="the volume is in a bucket")
    asked = parser.parse_args()
    kind = BucketPlay if asked.bucket else Play
    if asked.world is not None:
        return _tell_one(asked.world, kind)
    first = asked.seed * _WORLDS_OF_A_SEED
    began = time.monotonic()
    counts: Counter[str] = Counter()
    broken: list[Outcome] = []
    say(f"seed {asked.seed}")
    done = 0
    with multiprocessing.get_context("spawn").Pool(asked.processes) as pool:
        for outcomes in pool.imap_unordered(partial(some_worlds, kind=kind), _shares(first, asked.interleavings)):
            done += len(outcomes)
            if done % 10_000 == 0:
                say(f"{done} of {asked.interleavings} after {time.monotonic() - began:.0f} s")
            for outcome in outcomes:
                counts += outcome.counts
                if outcome.broken:
                    broken.append(outcome)
                    say(f"world {outcome.seed}: {outcome.broken}")
    say(f"seed {asked.seed}: {asked.interleavings} interleavings, {len(broken)} that broke a promise")
    for name, count in counts.most_common():
        say(f"  {count:>10}  {name}")
    say(f"  {time.monotonic() - began:>10.0f}  seconds")
    for outcome in sorted(broken, key=lambda one: one.seed)[:_MOST_TOLD]:
        say(f"again: python -m proofs.simulation{' --bucket' if asked.bucket else ''} --world {outcome.seed}")
    return 1 if broken else 0


def _shares(first: int, count: int) -> Iterator[range]:
    for begin in range(first, first + count, 100):
        yield range(begin, min(begin + 100, first + count))


def _tell_one(seed: int, kind: type[Play]) -> int:
    logging.disable()
    with in_memory() as folder, simulated():
        outcome = run_world(seed, folder, tell=say, kind=kind)
        if outcome.broken:
            shutil.copytree(folder, kept := Path(tempfile.mkdtemp(prefix="world-")), dirs_exist_ok=True)
            say(f"the volume is in {kept}")
    say(f"world {seed}: {outcome.broken or 'every promise was kept'}")
    return 1 if outcome.broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
