"""Jobs with a store of damaged compiled programs: `python -m proofs.kept_programs --files 100 --seed 1`.

An untouched job leaves two compiled programs and its traces in a store. A job that finds them whole must end like it.
Before each further job all files are damaged: torn, swapped, changed in one bit, taken from another version or from
another compiler's store, emptied, or replaced by a link. No job may load one. Each must trace and compile again, store
files with correct digests, and end like the untouched job: the same log, stop, checkpoints and last state, bit for bit.
"""

import argparse
import multiprocessing
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from proofs.say import say
from shared.volume import Volume
from tests.support.jobs import learnable_frame, put_dataset, put_job, small_spec
from tests.support.killing import Outcome, outcome, preloaded_forks, resume_job, run_to_the_end, store_of
from worker.ipc.program_store import make_store, put, restore

Damage = Callable[[Path, random.Random], None]


def tear(file: Path, chance: random.Random) -> None:
    """Cut off the end."""
    file.write_bytes(file.read_bytes()[: chance.randrange(1, file.stat().st_size)])


def flip_bit(file: Path, chance: random.Random) -> None:
    """Change one bit, in the digest or in the program."""
    content = bytearray(file.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    file.write_bytes(content)


def swap(file: Path, chance: random.Random) -> None:
    """Replace the file with another whole program of the store."""
    others = sorted(set(file.parent.iterdir()) - {file})
    file.write_bytes(chance.choice(others).read_bytes())


def take_from_other_compiler(file: Path, chance: random.Random) -> None:
    """Replace the file with the whole program of the same name from another compiler's store."""
    other = make_store(file.parent.with_name(f"other-{chance.randrange(10**6)}"))
    written = other.parent.parent / file.name
    written.write_bytes(file.read_bytes().partition(b"\n")[2])
    put(other, written)
    file.write_bytes((other / file.name).read_bytes())
    shutil.rmtree(other)


def take_from_other_version(file: Path, _: random.Random) -> None:
    """Change the file to what a later format might look like."""
    file.write_bytes(file.read_bytes().replace(b"program 1 ", b"program 2 ", 1))


def lose_first_line(file: Path, _: random.Random) -> None:
    """Keep only what XLA itself would write."""
    file.write_bytes(file.read_bytes().partition(b"\n")[2])


def make_empty(file: Path, _: random.Random) -> None:
    """Keep only the name, as a filesystem may after a power cut."""
    file.write_bytes(b"")


def replace_by_link(file: Path, chance: random.Random) -> None:
    """Replace the file with a link: to a whole program, or to nothing."""
    elsewhere = file.parent.parent.parent / f"elsewhere-{chance.randrange(10**6)}"
    if chance.random() < 0.5:
        shutil.copy(file, elsewhere)
    file.unlink()
    file.symlink_to(elsewhere)


DAMAGES: tuple[Damage, ...] = (
    tear, flip_bit, swap, take_from_other_compiler, take_from_other_version, lose_first_line, make_empty,
    replace_by_link,
)  # fmt: skip


class Proof:
    """One store, and the outcome of the job without damage."""

    def __init__(self, folder: Path) -> None:
        self._volume = Volume(folder / "volume")
        self._programs = folder / "programs"
        self._forks = preloaded_forks()
        self.store = store_of(self._programs)
        put_dataset(self._volume, learnable_frame(160))
        self.untouched = self.run()

    def run(self) -> Outcome:
        """Run the job to its end in a separate process."""
        job = put_job(self._volume, small_spec(**resume_job("fused with XLA")))
        run_to_the_end(job, self._forks, programs=self._programs)
        return outcome(job)

    def digests_are_right(self) -> bool:
        """Whether all programs of the store would be used."""
        with tempfile.TemporaryDirectory() as into:
            return restore(self.store, "", Path(into)) == {file.name for file in self.store.iterdir()}


def main() -> int:
    """Run, print one table, and exit with 0 only if no damaged file was loaded and every job ended equal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    chance, damaged, wrong = random.Random(asked.seed), Counter[str](), 0
    with tempfile.TemporaryDirectory() as folder:
        proof = Proof(Path(folder))
        names = sorted(file.name for file in proof.store.iterdir())
        if len(names) != 3 or proof.run() != proof.untouched:
            wrong += 1
            say(f"wrong: a job that finds {len(names)} whole files ended otherwise than the one that wrote them")
        while damaged.total() < asked.files:
            written = {name: (proof.store / name).stat().st_mtime_ns for name in names}
            for name in names:
                damage = DAMAGES[damaged.total() % len(DAMAGES)]
                damage(proof.store / name, chance)
                damaged[damage.__name__] += 1
            is_equal = proof.run() == proof.untouched
            is_compiled = all((proof.store / name).lstat().st_mtime_ns != written[name] for name in names)
            if not (is_equal and is_compiled and proof.digests_are_right()):
                wrong += 1
                say(f"wrong after {damaged.total()} files: equal {is_equal}, compiled again {is_compiled}")
    say(f"seed {asked.seed}: {damaged.total()} damaged files, {wrong} jobs that loaded one or ended otherwise")
    for name, count in damaged.most_common():
        say(f"  {count:5d}  {name}")
    return 1 if wrong else 0


if __name__ == "__main__":
    multiprocessing.freeze_support()
    raise SystemExit(main())
