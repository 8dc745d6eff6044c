"""Replays a whole past sweep under another rule, trial by trial and epoch by epoch.

The recorded trials run again side by side, in the order of their numbers, and each epoch takes its recorded time. The
rule sees what it would have seen, and a trial that it stops frees its place. Later trials have the parameters that were
proposed; a sampler that had known of the stops might have proposed others.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace

from shared.sweep.rules import judge
from shared.sweep.spec import StoppingRule, SweepSpec
from shared.sweep.trial import Trial, best_of


@dataclass(frozen=True)
class SweepReplay:
    """A sweep under a rule. `seconds` are of all devices; `duration` is from the first trial to the last.

    `unknown` counts the trials that a rule had stopped when they were recorded: their later epochs are not known.
    `winner` is the best trial and `winner_then` the best under the rule; `lost` is how much worse the value of the
    second is.
    """

    rule: str
    trials: int
    stopped: tuple[int, ...]
    unknown: int
    seconds: float
    seconds_saved: float
    duration: float
    winner: int | None
    winner_then: int | None
    lost: float

    @property
    def is_winner_lost(self) -> bool:
        """Whether the best trial would have been stopped before its best epoch."""
        return self.lost > 0


def replay_sweep(spec: SweepSpec, trials: Sequence[Trial], rule: StoppingRule) -> SweepReplay:
    """Replay a sweep under `rule`. Trials without epochs are left out."""
    told = [trial for trial in trials if trial.curve]
    changed = spec.model_copy(update={"rule": rule})
    then, duration = _Run(changed, told).run()
    mode = spec.objective.mode
    before, after = best_of(told, mode), best_of(then, mode)
    whole, left = (sum(trial.trained_seconds() for trial in some) for some in (told, then))
    known, found = before.best(mode) if before else None, after.best(mode) if after else None
    return SweepReplay(
        rule=rule.name,
        trials=len(told),
        stopped=tuple(sorted(one.number for one in then if len(one.curve) < _length(told, one.number))),
        unknown=sum(trial.is_outclassed for trial in told),
        seconds=whole,
        seconds_saved=whole - left,
        duration=duration,
        winner=before.number if before else None,
        winner_then=after.number if after else None,
        lost=abs(known - found) if known is not None and found is not None else 0.0,
    )


def _length(trials: Sequence[Trial], number: int) -> int:
    return next(len(trial.curve) for trial in trials if trial.number == number)


class _Run:
    """Runs the trials again in simulated time."""

    def __init__(self, spec: SweepSpec, trials: Sequence[Trial]) -> None:
        self._spec = spec
        self._whole = {trial.number: trial for trial in trials}
        self._waiting = sorted(self._whole, reverse=True)
        self._now: dict[int, Trial] = {}
        # The moment at which each running trial ends its next epoch, and its number.
        self._next: list[tuple[float, int]] = []

    def run(self) -> tuple[list[Trial], float]:
        """Run the trials as far as the rule lets them. Returns them, and the moment of the last end."""
        moment = 0.0
        while len(self._next) < self._spec.parallel and self._waiting:
            self._begin(moment)
        while self._next:
            moment, number = heapq.heappop(self._next)
            if self._end_epoch(number):
                if self._waiting:
                    self._begin(moment)
            else:
                self._push(moment, number)
        return list(self._now.values()), moment

    def _begin(self, moment: float) -> None:
        number = self._waiting.pop()
        self._now[number] = replace(self._whole[number], status="running", reason=None, curve=(), seconds=())
        self._push(moment, number)

    def _push(self, moment: float, number: int) -> None:
        epoch = len(self._now[number].curve)
        heapq.heappush(self._next, (moment + self._whole[number].seconds[epoch], number))

    def _end_epoch(self, number: int) -> bool:
        """Add the next epoch of a trial. Returns whether the trial has ended with it."""
        whole, epoch = self._whole[number], len(self._now[number].curve) + 1
        trial = replace(self._now[number], curve=whole.curve[:epoch], seconds=whole.seconds[:epoch])
        self._now[number] = trial
        if epoch == len(whole.curve):
            self._now[number] = replace(trial, status="succeeded")
            return True
        if judge(self._spec, trial, list(self._now.values())) is None:
            return False
        self._now[number] = replace(trial, status="succeeded", reason="outclassed")
        return True
