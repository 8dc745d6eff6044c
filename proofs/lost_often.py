"""One job that is lost repeatedly, under the default limits: `python -m proofs.lost_often --losses 25`.

Its processes are killed in each way that `--kinds` names, some of them before there is progress, some directly after
Redis was flushed. It must end like its untouched twin, bit for bit, with no failure counted. Then figures are printed:
from the kill to the first new batch for a child, for a worker restarted on the same machine, and for a worker on
another machine; and what the job trained again because of each loss.
"""

import argparse
import random
import tempfile
from collections import defaultdict
from pathlib import Path

from proofs.say import say
from shared.job_folder import JobFolder
from shared.queue import RedisQueue, make_celery
from shared.settings import read_settings
from shared.volume import Volume
from tests.support.jobs import learnable_frame, put_dataset
from tests.support.killing import outcome
from tests.support.losing import (
    DEFAULT_TIMES,
    ELSEWHERE,
    KINDS,
    TIMES,
    Stand,
    redone_seconds,
    seconds_to_first_batch,
    some_kinds,
    summary,
)
from tests.support.redis import running_redis
from tests.support.waiting import wait_for

_END = 1800
_ELSEWHERE_EPOCHS = 40


def main() -> int:
    """Run, print the figures, and exit with 0 only if every promise was kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--losses", type=int, default=25)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--default-times", action="store_true", help="the product's own, and not shorter ones")
    parser.add_argument("--kinds", default=",".join(KINDS), help=f"of: {', '.join(KINDS)}")
    asked = parser.parse_args()
    kinds = some_kinds(random.Random(asked.seed), asked.kinds.split(","), asked.losses)
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        volume = Volume(folder / "volume")
        put_dataset(volume, learnable_frame(6000))
        (folder / "redis").mkdir()
        with running_redis(folder / "redis") as redis:
            job_queue = RedisQueue(make_celery(read_settings({"FITSTOP_REDIS_URL": redis.url})))
            times = DEFAULT_TIMES if asked.default_times else TIMES
            stand = Stand(volume, redis, job_queue, folder, times=times)
            try:
                stand.start()
                broken = _lose_often(stand, kinds, asked.epochs, asked.seed)
            finally:
                stand.stop()
            _lose_to_another_machine(Stand(volume, redis, job_queue, folder / "elsewhere", 1, times))
    say(f"seed {asked.seed}: {'; '.join(broken) or 'every promise was kept'}")
    return 1 if broken else 0


def _lose_often(stand: Stand, kinds: list[str], epochs: int, seed: int) -> list[str]:
    """Lose a job repeatedly, and return the broken promises."""
    twin = stand.post(epochs)
    wait_for(twin.result, _END, every=0.5)
    job, chance = stand.post(epochs), random.Random(seed)
    for number, kind in enumerate(kinds, 1):
        stand.lose(job, kind, after_progress=chance.random() < 0.8, wipe_redis=chance.random() < 0.3)
        say(f"{number} of {len(kinds)}: {kind}, attempt {stand.losses[-1].attempt}")
    wait_for(job.result, _END, every=0.5)
    _tell_figures(stand, job)
    return broken_promises(job, twin, len(kinds))


def broken_promises(job: JobFolder, twin: JobFolder, losses: int) -> list[str]:
    """The broken promises of a job that was lost `losses` times."""
    ends = [end for attempt in job.attempts() if (end := attempt.end()) is not None]
    failures = [f"attempt {number} failed: {end.error}" for number, end in enumerate(ends, 1) if end.is_failure]
    found = failures + ([] if outcome(job) == outcome(twin) else ["it differs from its untouched twin"])
    return found if len(ends) > losses else [*found, f"{losses} losses and {len(ends)} attempts"]


def _tell_figures(stand: Stand, job: JobFolder) -> None:
    found = defaultdict(list)
    for loss in stand.losses:
        seconds = seconds_to_first_batch(job, loss)
        if seconds is not None:
            found[loss.kind].append(seconds)
    say("from the fault to the first new batch")
    for kind, values in found.items():
        say(f"  {summary(values)}  {kind}")
    redone = redone_seconds(job)
    lost = [redone[loss.attempt] for loss in stand.losses]
    say(f"trained again, and the silence before: {summary(lost)}; {sum(lost):.1f} s in all")
    say("  " + ", ".join(f"{seconds:.1f}" for seconds in lost))


def _lose_to_another_machine(stand: Stand) -> None:
    """Measure a take-over by a worker that cannot see the lost worker's processes, as on another machine."""
    other = stand.worker("another machine")
    other.command = [*ELSEWHERE, *other.command]
    try:
        stand.start()
        job = stand.post(_ELSEWHERE_EPOCHS)
        attempt = stand.wait_for_training(job)
        other.begin()
        wait_for(lambda: any(card.ready for card in stand.volume.worker_cards()), 120)
        loss = stand.take_away(attempt)
        wait_for(lambda: seconds_to_first_batch(job, loss), 120)
        say(f"  {seconds_to_first_batch(job, loss):5.1f} s  worker tree, to a worker on another machine")
    finally:
        other.stop()
        stand.stop()


if __name__ == "__main__":
    raise SystemExit(main())
