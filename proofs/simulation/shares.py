"""Runs many worlds one after another in one process."""

import gc
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from proofs.simulation.machinery import simulated
from proofs.simulation.world import Outcome, Play, run_world


def some_worlds(seeds: range, kind: type[Play] = Play) -> list[Outcome]:
    """Run the worlds of these seeds."""
    logging.disable()
    # Nothing in a world lives long, so a search for cycles costs more than their memory, which each call gives back.
    gc.collect()
    gc.disable()
    with in_memory() as folder, simulated():
        return [run_world(seed, folder, kind=kind) for seed in seeds]


@contextmanager
def in_memory() -> Iterator[Path]:
    """A temporary folder, in memory if the machine has /dev/shm."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder) / "volume"
