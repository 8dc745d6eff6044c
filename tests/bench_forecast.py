"""Score the forecast on recorded curves: `make bench-forecast`, or `python -m tests.bench_forecast [--fit]`.

Each data set is scored with a calibration that was fitted on the other seven; the half-life of the trend was chosen on
four of them (breast-cancer, diabetes, iris, wine-red). Of each run, under a patience of 5, 10 and 20, eight moments
from a third of the run on are asked. Two naive answers stand beside it: the `epochs` of the job, and now plus the
patience that is left. The second is right by definition once the best epoch is past, so the moments before that are
shown by themselves too: only there is something to foresee.
"""

import argparse
import csv
import math
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shared.forecast import Calibration, evidence_of_better, forecast
from shared.replay import replay
from shared.spec import EarlyStoppingSpec
from shared.task import better_mode

FOLDER = Path(__file__).parent / "data" / "curves"
# As many as the recorded jobs were allowed.
EPOCHS = 150
PATIENCES = (5, 10, 20)
MOMENTS = 8


@dataclass(frozen=True)
class Moment:
    """A run at one of its epochs, and the epoch at which it stopped in truth."""

    data_set: str
    values: Sequence[float | None]
    spec: EarlyStoppingSpec
    stopped: int

    @property
    def patience_left(self) -> int:
        """The second naive answer: the epoch at which it stops if nothing improves."""
        return min(EPOCHS, len(self.values) + max(self.spec.patience - replay(self.values, self.spec).wait, 0))


@dataclass(frozen=True)
class Score:
    """How good the answers were, over `moments`."""

    moments: int
    within: float
    median_error: float
    median_of_patience_left: float
    median_of_epochs: float
    mean_error: float
    mean_of_patience_left: float


def recorded() -> Iterator[tuple[str, str, list[float | None]]]:
    """Data set, monitor and curve of every run."""
    for path in sorted(FOLDER.glob("*.csv")):
        runs: dict[tuple[str, str], list[float | None]] = defaultdict(list)
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                runs[row["run"], row["monitor"]].append(float(row["value"]) if row["value"] else None)
        for (_, monitor), curve in runs.items():
            yield path.stem, monitor, curve


def moments(count: int = MOMENTS) -> Iterator[Moment]:
    """At most so many moments of each run under each patience."""
    for data_set, monitor, curve in recorded():
        for patience in PATIENCES:
            spec = EarlyStoppingSpec(monitor=monitor, mode=better_mode(monitor), patience=patience)
            stop = replay(curve, spec).stop(patience)
            stopped = stop.epoch if stop else EPOCHS
            first = max(3, math.ceil(stopped / 3))
            for done in sorted(set(np.linspace(first, stopped - 1, count).astype(int).tolist())):
                yield Moment(data_set, curve[:done], spec, stopped)


def left_out(asked: Sequence[Moment]) -> list[tuple[Moment, Calibration]]:
    """Each moment with the calibration of all data sets but its own."""
    rows = [(one, evidence_of_better(one.values, one.spec, EPOCHS)) for one in asked]
    names = sorted({one.data_set for one in asked})
    fits = {name: fit([(one, row) for one, row in rows if one.data_set != name]) for name in names}
    return [(one, fits[one.data_set]) for one in asked]


def score(pairs: Sequence[tuple[Moment, Calibration]]) -> Score:
    """The forecast against the truth and the two naive answers."""
    answers = [forecast(one.values, one.spec, EPOCHS, calibration) for one, calibration in pairs]
    asked = [one for one, _ in pairs]
    assert all(answers)
    truth = np.array([one.stopped for one in asked])
    p10, p50, p90 = (np.array([getattr(answer, name) for answer in answers]) for name in ("p10", "p50", "p90"))
    error, left = np.abs(p50 - truth), np.abs(np.array([one.patience_left for one in asked]) - truth)
    return Score(
        moments=len(asked),
        within=float(np.mean((p10 <= truth) & (truth <= p90))),
        median_error=float(np.median(error)),
        median_of_patience_left=float(np.median(left)),
        median_of_epochs=float(np.median(EPOCHS - truth)),
        mean_error=float(error.mean()),
        mean_of_patience_left=float(left.mean()),
    )


def fit(rows: Sequence[tuple[Moment, list[float] | None]]) -> Calibration:
    """The calibration that makes it most likely that a better epoch came where it did (ridge 1, Newton's method)."""
    basis = np.array([row for _, row in rows])
    came = np.array([one.patience_left < one.stopped for one, _ in rows])
    found, ridge = np.zeros(3), np.diag([0.0, 1.0, 1.0])
    for _ in range(50):
        chance = 1 / (1 + np.exp(-basis @ found))
        slope = basis.T @ (chance - came) + ridge @ found
        curvature = (basis * (chance * (1 - chance))[:, None]).T @ basis + ridge + 1e-9 * np.eye(3)
        found = found - np.linalg.solve(curvature, slope)
    constant, odds, waited = (round(float(one), 2) for one in found)
    return constant, odds, waited


def _line(name: str, one: Score) -> str:
    return (
        f"{name:34s} {one.moments:5d} {one.within:9.0%} {one.median_error:9.1f} {one.median_of_patience_left:9.1f}"
        f" {one.median_of_epochs:9.1f} {one.mean_error:9.1f} {one.mean_of_patience_left:9.1f}\n"
    )


def main() -> int:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fit", action="store_true", help="print the calibration of all data sets")
    only_fit = parser.parse_args().fit
    asked = list(moments())
    if only_fit:
        rows = [(one, evidence_of_better(one.values, one.spec, EPOCHS)) for one in asked]
        sys.stdout.write(f"CALIBRATION = {fit(rows)}\n")
        return 0
    pairs = left_out(asked)
    began = time.process_time()
    whole = score(pairs)
    each = (time.process_time() - began) / len(pairs) * 1000
    heads = ("moments", "p10-p90", "p50 med", "left med", "epochs", "p50 mean", "left mean")
    sys.stdout.write("epochs between the answer and the truth; left: now plus the patience that is left\n")
    sys.stdout.write(f"{'':34s} {heads[0]:>5s}" + "".join(f" {head:>9s}" for head in heads[1:]) + "\n")
    sys.stdout.write(_line("data sets left out of the fit", whole))
    sys.stdout.write(_line("  before the best epoch", score([pair for pair in pairs if _is_before_best(pair[0])])))
    for name in sorted({one.data_set for one in asked}):
        sys.stdout.write(_line(f"  {name}", score([pair for pair in pairs if pair[0].data_set == name])))
    sys.stdout.write(f"{sum(1 for _ in recorded())} recorded curves; {each:.1f} ms of CPU for a forecast\n")
    return 0


def _is_before_best(one: Moment) -> bool:
    return one.patience_left < one.stopped


if __name__ == "__main__":
    raise SystemExit(main())
