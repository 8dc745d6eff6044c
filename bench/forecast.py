"""Score the forecast on recorded curves: `make bench-forecast`, or `python -m bench.forecast [--fit]`.

No data set is scored by a forecast that was fitted on it: each of eight has coefficients of the other seven, and four
(`UNTOUCHED`) have no part in any fit. The form of the forecast was chosen on the eight. Each run is scored under a
patience of 5, 10 and 20, at eight moments from a third of the run on. It is compared with two naive answers: the
`epochs` of the job, and now plus the patience that is left. The second answer is right by definition after the best
epoch, so the moments before that are also shown separately: only they need a forecast.
"""

import argparse
import csv
import math
import sys
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shared.forecast import (
    COEFFICIENTS,
    LEAST_EPOCHS,
    Coefficients,
    evidence,
    forecast,
    improvements,
    is_perfect,
    pace_after,
)
from shared.replay import apply_rule, replay
from shared.spec import EarlyStoppingSpec
from shared.task import better_mode

UNTOUCHED = ("classification", "friedman", "hastie", "moons")
FOLDER = Path(__file__).parents[1] / "tests" / "data" / "curves"
# The maximum epochs of the recorded jobs.
EPOCHS = 150
PATIENCES = (5, 10, 20)
MOMENTS = 8
FORESEEN = 15

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Moment:
    """A run at one of its epochs, and the epoch at which it really stopped."""

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
    """The accuracy of the answers, over `moments`."""

    moments: int
    within: float
    median_error: float
    median_of_patience_left: float
    median_of_epochs: float
    mean_error: float
    mean_of_patience_left: float


def recorded() -> Iterator[tuple[str, str, list[float | None]]]:
    """Yield data set, monitor and curve of every run."""
    for path in sorted(FOLDER.glob("*.csv")):
        runs: dict[tuple[str, str], list[float | None]] = defaultdict(list)
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                runs[row["run"], row["monitor"]].append(float(row["value"]) if row["value"] else None)
        for (_, monitor), curve in runs.items():
            yield path.stem, monitor, curve


def moments(count: int = MOMENTS) -> Iterator[Moment]:
    """Yield up to `count` moments of each run under each patience."""
    for data_set, monitor, curve in recorded():
        for patience in PATIENCES:
            spec = EarlyStoppingSpec(monitor=monitor, mode=better_mode(monitor), patience=patience)
            first, stopped = _asked(curve, spec, patience)
            for done in sorted(set(np.linspace(first, stopped - 1, count).astype(int).tolist())):
                yield Moment(data_set, curve[:done], spec, stopped)


def left_out(asked: Sequence[Moment]) -> list[tuple[Moment, Coefficients]]:
    """Each moment with coefficients that were not fitted on its data set."""
    fitted = {name for name, _, _ in recorded()} - set(UNTOUCHED)
    fits = {name: fit(fitted - {name}) for name in fitted}
    return [(one, fits.get(one.data_set, COEFFICIENTS)) for one in asked]


def score(pairs: Sequence[tuple[Moment, Coefficients]]) -> Score:
    """Score the forecast and the two naive answers against the truth."""
    answers = [forecast(one.values, one.spec, EPOCHS, coefficients) for one, coefficients in pairs]
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


def fit(data_sets: Collection[str]) -> Coefficients:
    """The coefficients that make the observed improvements most likely (ridge 0.1, Newton's method)."""
    runs = [_run(monitor, curve) for name, monitor, curve in recorded() if name in data_sets]
    basis, improved, weight = (np.concatenate(column) for column in zip(*runs, strict=True))
    weight /= weight.mean()
    count = basis.shape[1]
    found, ridge = np.zeros(count), 0.1 * np.diag([0.0] + [1.0] * (count - 1))
    for _ in range(50):
        chance = 1 / (1 + np.exp(-basis @ found))
        slope = basis.T @ (weight * (chance - improved)) + ridge @ found
        curvature = (basis * (weight * chance * (1 - chance))[:, None]).T @ basis + ridge
        found = found - np.linalg.solve(curvature, slope)
    return tuple(round(float(one), 2) for one in found)


def _run(monitor: str, curve: Sequence[float | None]) -> tuple[_Floats, _Floats, _Floats]:
    """For each epoch that could improve: what was known before it (epochs, coefficients), whether it did, its weight.

    Epochs are weighted as they are asked for. Each run has the same weight under each patience, from a third of it on.
    An epoch weighs more the more moments before it foresee it (`FORESEEN` at most).
    """
    spec = EarlyStoppingSpec(monitor=monitor, mode=better_mode(monitor))
    improved, told = improvements(curve, spec), list(apply_rule(curve, spec))
    open_to = [done for done in range(LEAST_EPOCHS, len(curve)) if not is_perfect(told[done - 1][0], spec)]
    rows = [evidence(pace_after(improved[:done]), done + 1)[:, 0] for done in open_to]
    weight = np.zeros(len(curve))
    for patience in PATIENCES:
        first, stopped = _asked(curve, spec, patience)
        foreseen_from = np.arange(1, stopped - first + 1)
        weight[first:stopped] += np.minimum(foreseen_from, FORESEEN) / len(foreseen_from)
    return np.array(rows), improved[open_to].astype(float), weight[open_to]


def _asked(curve: Sequence[float | None], spec: EarlyStoppingSpec, patience: int) -> tuple[int, int]:
    """The first epoch after which a forecast is asked for, and the one at which the run stops."""
    stop = replay(curve, spec).stop(patience)
    stopped = stop.epoch if stop else EPOCHS
    return max(LEAST_EPOCHS, math.ceil(stopped / 3)), stopped


def _line(name: str, one: Score) -> str:
    return (
        f"{name:38s} {one.moments:5d} {one.within:9.0%} {one.median_error:9.1f} {one.median_of_patience_left:9.1f}"
        f" {one.median_of_epochs:9.1f} {one.mean_error:9.1f} {one.mean_of_patience_left:9.1f}\n"
    )


def main() -> int:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fit", action="store_true", help="print the coefficients of all eight")
    only_fit = parser.parse_args().fit
    if only_fit:
        names = {name for name, _, _ in recorded()} - set(UNTOUCHED)
        sys.stdout.write(f"COEFFICIENTS: Coefficients = {fit(names)}\n")
        return 0
    pairs = left_out(list(moments()))
    heads = ("moments", "p10-p90", "p50 med", "left med", "epochs", "p50 mean", "left mean")
    sys.stdout.write("epochs between the answer and the truth; left: now plus the patience that is left\n")
    sys.stdout.write(f"{'':38s} {heads[0]:>5s}" + "".join(f" {head:>9s}" for head in heads[1:]) + "\n")
    began = time.process_time()
    sys.stdout.write(_line("not seen by the fit", score(pairs)))
    each = (time.process_time() - began) / len(pairs) * 1000
    for name, some in _parts(pairs):
        sys.stdout.write(_line(f"  {name}", score(some)))
    sys.stdout.write(f"{sum(1 for _ in recorded())} recorded curves; {each:.1f} ms of CPU for a forecast\n")
    return 0


def _parts(pairs: Sequence[tuple[Moment, Coefficients]]) -> Iterator[tuple[str, list[tuple[Moment, Coefficients]]]]:
    yield "before the best epoch", [pair for pair in pairs if _is_before_best(pair[0])]
    yield "eight, each left out of its fit", [pair for pair in pairs if pair[0].data_set not in UNTOUCHED]
    yield "four, part of no fit", [pair for pair in pairs if pair[0].data_set in UNTOUCHED]
    for name in sorted({one.data_set for one, _ in pairs}):
        yield name, [pair for pair in pairs if pair[0].data_set == name]


def _is_before_best(one: Moment) -> bool:
    return one.patience_left < one.stopped


if __name__ == "__main__":
    raise SystemExit(main())
