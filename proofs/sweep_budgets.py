"""How close sweeps end to their budget: `python -m proofs.sweep_budgets`, or `make sweep-budget-proof`.

Two workers run small sweeps, of one and of two trials side by side, each limited by compute time, by cost or by a
deadline. Some trials end by themselves; the others would train until the end of the budget. One line for each sweep
shows what it used of its limit, how long a batch of each trial that the budget stopped took, and the time that is not
charged: saving after the limit, and the exit of all processes. A sweep that used less than 98 %, or more than its limit
by more than a batch for each running trial, is a fault. For a deadline, the time until all is saved counts.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.job import AttemptEnd, Claim
from shared.sweep.folder import SweepFolder
from shared.sweep.state import SweepState, read_state
from shared.times import parse_time, time_in
from shared.volume import Volume
from tests.support.jobs import learnable_frame, put_dataset, small_spec
from tests.support.redis import running_redis
from tests.support.sweeps import put_sweep
from tests.support.worker_process import WorkerProcess

_PRICE = 3600.0
_LEAST = 0.98
_BATCH = 32


@dataclass(frozen=True)
class Case:
    """One sweep: the limit of its budget, in seconds, and the number of trials side by side."""

    kind: str
    parallel: int
    seconds: float
    seed: int


def main() -> int:
    """Run the sweeps and print how each ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweeps", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=50, help="compute time of a sweep")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="fitstop-budgets-"))
    try:
        return _run(root, draw_cases(asked.sweeps, asked.seconds, asked.seed))
    finally:
        shutil.rmtree(root, ignore_errors=True)


def draw_cases(count: int, seconds: float, seed: int) -> list[Case]:
    """Draw cases, equally many of each kind and each number of trials side by side."""
    chance = random.Random(seed)
    kinds = [(kind, parallel) for kind in ("max_gpu_seconds", "max_cost", "deadline") for parallel in (2, 1)]
    return [
        Case(*kinds[number % len(kinds)], round(seconds * chance.uniform(0.8, 1.2), 1), seed + number)
        for number in range(count)
    ]


def _run(root: Path, cases: list[Case]) -> int:
    volume, faults = Volume(root / "volume"), 0
    put_dataset(volume, learnable_frame())
    (folder := root / "redis").mkdir()
    with running_redis(folder) as redis:
        price = {"FITSTOP_GPU_PRICE_PER_HOUR": str(_PRICE), "FITSTOP_CURRENCY": "EUR", "FITSTOP_SLOTS": "1"}
        workers = [WorkerProcess(volume, redis.url, root / f"worker-{number}.log", **price) for number in (1, 2)]
        for worker in workers:
            worker.start()
        try:
            faults = sum(not _run_one(volume, case) for case in cases)
        finally:
            for worker in workers:
                worker.stop()
    sys.stdout.write(f"{len(cases) - faults} of {len(cases)} sweeps ended within their budget\n")
    return 1 if faults else 0


def _run_one(volume: Volume, case: Case) -> bool:
    began = time.monotonic()
    folder = post(volume, case)
    while True:
        state = read_state(volume, folder.id)
        assert state is not None
        if state.end is not None:
            break
        if time.monotonic() - began > 600:
            raise SystemExit(f"{folder.id} did not end")
        time.sleep(0.5)
    return report(volume, case, state)


def post(volume: Volume, case: Case) -> SweepFolder:
    """Put the sweep on the volume: some trials have few epochs, the others practically endless ones."""
    spec = small_spec(
        hyperparameters={"epochs": 10, "batch_size": _BATCH, "xla": False}, callbacks={"early_stopping": None}
    )
    space: dict[str, Any] = {
        "/hyperparameters/epochs": {"choice": [20, 98_000, 99_000, 100_000]},
        "/hyperparameters/learning_rate": {"log": [1e-4, 0.1]},
    }
    budget: dict[str, Any] = {case.kind: case.seconds}
    if case.kind == "max_cost":
        budget[case.kind] = case.seconds * _PRICE / 3600
    elif case.kind == "deadline":
        budget[case.kind] = time_in(case.seconds)
    parts = {"trials": 1000, "parallel": case.parallel, "seed": case.seed, "sampler": "random", "budget": budget}
    return put_sweep(volume, job=spec, space=space, **parts)


def report(volume: Volume, case: Case, state: SweepState) -> bool:
    """Print how a sweep ended; return whether it used its budget and kept within it."""
    used = used_seconds(volume, case, state)
    batches = longest_batches(volume, state)
    over, is_close = used - case.seconds, used >= _LEAST * case.seconds
    is_kept = over <= sum(batches)
    assert state.end is not None
    sys.stdout.write(
        f"{case.kind:<15} parallel {case.parallel}  {len(state.trials):3} trials  limit {case.seconds:6.1f} s  "
        f"used {used:8.3f} s ({used / case.seconds:6.1%})  a batch of each {sum(batches) * 1000:.1f} ms  "
        f"uncharged {sum(end.uncharged_seconds for _, end in _ends(volume, state)):.2f} s  "
        f"{'ok' if is_close and is_kept else 'FAULT'}: {state.end.message}\n"
    )
    sys.stdout.flush()
    return is_close and is_kept


def used_seconds(volume: Volume, case: Case, state: SweepState) -> float:
    """The seconds that a sweep used of its limit; for a deadline, until its last trial had saved everything."""
    if case.kind == "max_cost":
        return state.costs().get("EUR", 0.0) * 3600 / _PRICE
    if case.kind == "max_gpu_seconds":
        return state.gpu_seconds
    assert state.record.spec.budget is not None
    deadline = state.record.spec.budget.deadline
    assert deadline is not None
    return case.seconds + max(
        (parse_time(claim.claimed_at) - parse_time(deadline)).total_seconds() + (end.held_seconds or 0.0)
        for claim, end in _ends(volume, state)
    )


def _ends(volume: Volume, state: SweepState) -> list[tuple[Claim, AttemptEnd]]:
    """The claim and the end of each attempt at the sweep's trials."""
    attempts = [attempt for trial in state.trials for attempt in volume.job_folder(trial.job).attempts()]
    found = ((attempt.claim(), attempt.end()) for attempt in attempts)
    return [(claim, end) for claim, end in found if claim is not None and end is not None]


def longest_batches(volume: Volume, state: SweepState) -> list[float]:
    """The mean batch of the longest epoch, in seconds, of each trial that the budget stopped."""
    plans = [(trial, volume.job_folder(trial.job).plan()) for trial in state.trials if trial.reason == "budget"]
    return [max(trial.seconds) / plan.steps_per_epoch for trial, plan in plans if plan is not None and trial.seconds]


if __name__ == "__main__":
    sys.exit(main())
