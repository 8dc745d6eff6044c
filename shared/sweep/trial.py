"""One trial of a sweep as a value: with its curve, or as a summary for reports."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import Any, Literal, TypeVar

from shared.spec import EarlyStoppingSpec

TrialStatus = Literal["proposed", "queued", "running", "succeeded", "failed", "cancelled", "refused", "deleted"]

UNFINISHED = frozenset({"proposed", "queued", "running"})


@dataclass(frozen=True)
class TrialFacts:
    """The facts that every form of a trial has.

    `held` is how long its attempts held GPUs, in seconds summed over them, and `cost` what that cost by currency.
    `reason` is that of its stop, or the code of its error.
    """

    number: int
    parameters: dict[str, Any]
    job: str
    status: TrialStatus
    proposed_at: str
    held: float = 0.0
    cost: dict[str, float] = field(default_factory=dict)
    reason: str | None = None
    message: str | None = None
    finished_at: str | None = None

    @property
    def is_finished(self) -> bool:
        return self.status not in UNFINISHED

    @property
    def has_failed(self) -> bool:
        """Whether it counts as failed: it has no result that could be compared."""
        return self.status in {"failed", "refused"}

    @property
    def is_outclassed(self) -> bool:
        return self.reason == "outclassed"

    @abstractmethod
    def best(self, mode: str) -> float | None:
        """The best value of all epochs; None if none was finite."""

    @abstractmethod
    def best_epoch(self, mode: str) -> int | None:
        """The epoch (from 1) of the best value, the first of equal ones."""

    @abstractmethod
    def count_epochs(self) -> int:
        """The number of finished epochs."""

    @abstractmethod
    def trained_seconds(self) -> float:
        """The length of all its epochs together in seconds, summed over its devices."""


AnyTrial = TypeVar("AnyTrial", bound=TrialFacts)


@dataclass(frozen=True)
class Trial(TrialFacts):
    """One trial at one moment, from its files.

    `curve` holds the objective after each epoch, None if it was not finite; `seconds` the length of each. `stopping` is
    its early stopping. `price_per_hour` is that of one of its `devices`.
    """

    unfinished: tuple[int, ...] = ()
    curve: tuple[float | None, ...] = ()
    seconds: tuple[float, ...] = ()
    max_epochs: int = 0
    stopping: EarlyStoppingSpec | None = None
    is_stop_requested: bool = False
    price_per_hour: float | None = None
    devices: int = 1

    def best_by(self, epoch: int, mode: str) -> float | None:
        """The best value of the first `epoch` epochs; None if none was finite."""
        if not self.curve or epoch < 1:
            return None
        best = self._best_so_far(mode)[min(epoch, len(self.curve)) - 1]
        return best if math.isfinite(best) else None

    def best(self, mode: str) -> float | None:
        return self.best_by(len(self.curve), mode)

    def best_epoch(self, mode: str) -> int | None:
        best = self.best(mode)
        return None if best is None else self.curve.index(best) + 1

    def count_epochs(self) -> int:
        return len(self.curve)

    def trained_seconds(self) -> float:
        return self.devices * sum(self.seconds)

    def _best_so_far(self, mode: str) -> tuple[float, ...]:
        return self._most if mode == "max" else self._least

    @cached_property
    def _most(self) -> tuple[float, ...]:
        finite = (-math.inf if value is None or not math.isfinite(value) else value for value in self.curve)
        return tuple(accumulate(finite, max))

    @cached_property
    def _least(self) -> tuple[float, ...]:
        finite = (math.inf if value is None or not math.isfinite(value) else value for value in self.curve)
        return tuple(accumulate(finite, min))


@dataclass(frozen=True)
class TrialSummary(TrialFacts):
    """A trial without its curve. `value` is the best one in the direction of its sweep, `at` its epoch."""

    value: float | None = None
    at: int | None = None
    epochs: int = 0
    trained: float = 0.0

    @classmethod
    def of(cls, trial: Trial, mode: str) -> "TrialSummary":
        """The summary of a trial."""
        return cls(
            number=trial.number,
            parameters=trial.parameters,
            job=trial.job,
            status=trial.status,
            proposed_at=trial.proposed_at,
            held=trial.held,
            cost=trial.cost,
            reason=trial.reason,
            message=trial.message,
            finished_at=trial.finished_at,
            value=trial.best(mode),
            at=trial.best_epoch(mode),
            epochs=trial.count_epochs(),
            trained=trial.trained_seconds(),
        )

    def best(self, mode: str) -> float | None:  # noqa: ARG002  that of its sweep
        return self.value

    def best_epoch(self, mode: str) -> int | None:  # noqa: ARG002  that of its sweep
        return self.at

    def count_epochs(self) -> int:
        return self.epochs

    def trained_seconds(self) -> float:
        return self.trained


def best_of(trials: Sequence[AnyTrial], mode: str) -> AnyTrial | None:
    """The trial with the best value, the first of equal ones; None if no trial has one."""
    sign = 1.0 if mode == "max" else -1.0
    known = [(sign * value, -trial.number, trial) for trial in trials if (value := trial.best(mode)) is not None]
    return max(known, key=lambda one: one[:2])[2] if known else None
