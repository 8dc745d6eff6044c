"""The damage of the proof of kept programs, without the jobs: no program is restored from a damaged file."""

import random
from pathlib import Path

from proofs.kept_programs import DAMAGES
from worker.ipc.program_store import make_store, put, restore

NAMES = ["threads-2__1__XLA_CPU_JIT.pb", "threads-2__2__XLA_CPU_JIT.pb"]


def test_of_100_damaged_files_none_is_restored(tmp_path: Path) -> None:
    chance = random.Random(22)
    store, into = make_store(tmp_path / "stores" / "compiler"), tmp_path / "into"
    into.mkdir()
    for number in range(100):
        for name in NAMES:
            (tmp_path / name).write_bytes(chance.randbytes(1000))
            (store / name).unlink(missing_ok=True)
            put(store, tmp_path / name)
        damage, name = DAMAGES[number % len(DAMAGES)], chance.choice(NAMES)
        damage(store / name, chance)
        assert restore(store, "threads-2_", into) == set(NAMES) - {name}, damage.__name__
