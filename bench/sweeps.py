"""Score the rules that stop trials, on recorded trials: `make bench-sweeps`.

Each sweep draws trials of one data set (`tests/data/sweeps`) in a random order, run again in simulated time. `saved` is
the share of the compute time without a rule. A winner is lost if the best value of the sweep is worse than without a
rule; `worst` is the largest such difference.

With `--held-out`, `min_chance` of the forecast is chosen on half of the recorded trials (the largest saving that loses
a maximum of 1 winner in 20) and scored on the other half, with sweeps of 20 trials.
"""

import argparse
import csv
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from statistics import mean

from shared.spec import EarlyStoppingSpec
from shared.sweep.replay import SweepReplay, replay_sweep
from shared.sweep.spec import Objective, RuleName, StoppingRule, SweepSpec
from shared.sweep.trial import Trial
from shared.task import better_mode

RULES: tuple[RuleName, ...] = ("forecast", "asha", "median")
FOLDER = Path(__file__).parents[1] / "tests" / "data" / "sweeps"
# The maximum epochs of the recorded trials.
EPOCHS = 100
PATIENCE = 10
TRIALS = 30
PARALLEL = 2

_HALF_TRIALS = 20
_CHANCES = (0.025, 0.05, 0.1, 0.2)
_MOST_LOST = 1 / 20


def read_recorded(path: Path) -> tuple[str, dict[int, list[tuple[float | None, float]]]]:
    """The monitor of a data set's trials, and for each trial the value and the seconds of each epoch."""
    found: dict[int, list[tuple[float | None, float]]] = defaultdict(list)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        found[int(row["trial"])].append((float(row["value"]) if row["value"] else None, float(row["seconds"])))
    return rows[0]["monitor"], found


def draw_sweeps(
    path: Path, count: int, seed: int = 1, half: int | None = None
) -> Iterator[tuple[SweepSpec, list[Trial]]]:
    """Yield sweeps of one data set; with `half`, only of its trials with even (0) or odd (1) numbers."""
    monitor, curves = read_recorded(path)
    mode, chance = better_mode(monitor), Random(f"{path.stem} {seed}")
    spec = SweepSpec.model_validate({"job": {}, "space": {"/a": {"choice": (1,)}}, "parallel": PARALLEL})
    spec = spec.model_copy(update={"objective": Objective(monitor=monitor, mode=mode)})
    stopping = EarlyStoppingSpec(monitor=monitor, mode=mode, patience=PATIENCE)
    for _ in range(count):
        known = [number for number in sorted(curves) if half is None or number % 2 == half]
        numbers = chance.sample(known, min(TRIALS if half is None else _HALF_TRIALS, len(known)))
        yield spec, [_trial(place + 1, curves[one], stopping) for place, one in enumerate(numbers)]


def _trial(number: int, curve: Sequence[tuple[float | None, float]], stopping: EarlyStoppingSpec) -> Trial:
    return Trial(
        number=number,
        parameters={},
        job="",
        status="succeeded",
        proposed_at="",
        curve=tuple(value for value, _ in curve),
        seconds=tuple(seconds for _, seconds in curve),
        max_epochs=EPOCHS,
        stopping=stopping,
    )


def score(path: Path, rule: StoppingRule, count: int, half: int | None = None) -> list[SweepReplay]:
    """Replay the sweeps of one data set under a rule."""
    return [replay_sweep(spec, trials, rule) for spec, trials in draw_sweeps(path, count, half=half)]


def score_all(rule: StoppingRule, count: int, half: int) -> list[SweepReplay]:
    """Replay the sweeps of one half of the trials of every data set."""
    return [one for path in sorted(FOLDER.glob("*.csv")) for one in score(path, rule, count, half)]


def choose_chance(count: int, half: int) -> float:
    """The `min_chance` that saves most on a half, among those that lose few winners; the smallest if none does."""
    found = {chance: score_all(StoppingRule(name="forecast", min_chance=chance), count, half) for chance in _CHANCES}
    fit = [chance for chance, all_of_it in found.items() if _lost(all_of_it) <= _MOST_LOST * len(all_of_it)]
    return max(fit, key=lambda chance: _share_saved(found[chance]), default=min(_CHANCES))


def _lost(found: Sequence[SweepReplay]) -> int:
    return sum(one.is_winner_lost for one in found)


def _share_saved(found: Sequence[SweepReplay]) -> float:
    return sum(one.seconds_saved for one in found) / sum(one.seconds for one in found)


def describe(name: str, rule: str, found: Sequence[SweepReplay]) -> str:
    lost = [one for one in found if one.is_winner_lost]
    saved = _share_saved(found)
    stopped = mean(len(one.stopped) / one.trials for one in found)
    worse = max((one.lost for one in lost), default=0.0)
    return f"{name:16s} {rule:10s} {len(found):6d} {saved:8.0%} {stopped:8.0%} {len(lost):8d} {worse:10.4f}\n"


def main() -> int:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweeps", type=int, default=20, help="of each data set")
    parser.add_argument("--held-out", action="store_true", help="choose on one half of the trials, score on the other")
    asked = parser.parse_args()
    count = asked.sweeps
    sys.stdout.write(
        f"{'':16s} {'rule':10s} {'sweeps':>6s} {'saved':>8s} {'stopped':>8s} {'lost':>8s} {'worst':>10s}\n"
    )
    if asked.held_out:
        _score_held_out(count)
        return 0
    for rule in RULES:
        everything: list[SweepReplay] = []
        for path in sorted(FOLDER.glob("*.csv")):
            found = score(path, StoppingRule(name=rule), count)
            everything += found
            sys.stdout.write(describe(path.stem, rule, found))
            sys.stdout.flush()
        sys.stdout.write(describe("all", rule, everything))
    return 0


def _score_held_out(count: int) -> None:
    for half in (0, 1):
        for rule in RULES:
            chosen = choose_chance(count, 1 - half) if rule == "forecast" else None
            parameters = {} if chosen is None else {"min_chance": chosen}
            name = f"half {half}" if chosen is None else f"half {half}, {chosen}"
            found = score_all(StoppingRule.model_validate({"name": rule, **parameters}), count, half)
            sys.stdout.write(describe(name, rule, found))
            sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
