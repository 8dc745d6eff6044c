"""The epochs of a job as columns of numbers: a job may have a hundred thousand of them, and the API keeps many jobs."""

import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class EpochTold:
    """A finished epoch. `ended` is in microseconds since the attempt's claim, `attempt` is 0 for an inherited epoch.

    `best_epoch` is that of the best saved model so far or, if the job saves none, that of the last improvement.
    """

    epoch: int
    ended: int
    seconds: float
    metrics: dict[str, float | None]
    best_epoch: int | None
    learning_rate: float
    attempt: int = 0


class EpochColumns:
    """One attempt's epochs in the order in which they ended."""

    def __init__(self, attempt: int = 0) -> None:
        self._attempt = attempt
        self._epoch, self._ended, self._best = (array("q") for _ in range(3))
        self._seconds, self._rate, self._values = (array("d") for _ in range(3))
        # The names of an epoch's metrics, which rarely change, and where its values begin.
        self._names: list[tuple[str, ...]] = []
        self._layout, self._begin = array("q"), array("q")

    def append(self, told: EpochTold) -> None:
        """Append the next epoch."""
        names = tuple(told.metrics)
        if names not in self._names:
            self._names.append(names)
        self._layout.append(self._names.index(names))
        self._begin.append(len(self._values))
        self._values.extend(math.nan if value is None else value for value in told.metrics.values())
        self._ended.append(told.ended)
        self._seconds.append(told.seconds)
        self._rate.append(told.learning_rate)
        self._best.append(told.best_epoch or 0)
        self._epoch.append(told.epoch)

    @property
    def bytes(self) -> int:
        """The memory that the epochs take."""
        columns = (self._epoch, self._ended, self._best, self._layout, self._begin)
        return sum(column.itemsize * len(column) for column in (*columns, self._seconds, self._rate, self._values))

    def now(self) -> "EpochRows":
        """The epochs until now, without those that are appended later."""
        return EpochRows(self, len(self._epoch))

    def row(self, index: int) -> EpochTold:
        """One epoch."""
        return EpochTold(
            epoch=self._epoch[index],
            ended=self._ended[index],
            seconds=self._seconds[index],
            metrics=self._metrics(index),
            best_epoch=self._best[index] or None,
            learning_rate=self._rate[index],
            attempt=self._attempt,
        )

    def _metrics(self, index: int) -> dict[str, float | None]:
        names, begin = self._names[self._layout[index]], self._begin[index]
        values = self._values[begin : begin + len(names)]
        return {name: None if math.isnan(value) else value for name, value in zip(names, values, strict=True)}

    def columns(self, count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Numbers, ends (microseconds since the claim) and seconds of the first epochs, each of shape (count,)."""
        # Slices are copies: an array whose buffer is in use elsewhere cannot grow.
        return (
            np.frombuffer(self._epoch[:count], dtype=np.int64),
            np.frombuffer(self._ended[:count], dtype=np.int64),
            np.frombuffer(self._seconds[:count], dtype=np.float64),
        )


@dataclass(frozen=True)
class EpochRows:
    """The first `count` epochs of some columns."""

    _columns: EpochColumns
    count: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[EpochTold]:
        return map(self._columns.row, range(self.count))

    @property
    def last(self) -> EpochTold | None:
        """The newest epoch; None if there is none."""
        return self.row(self.count - 1) if self.count else None

    def row(self, index: int) -> EpochTold:
        """One epoch, by its index from 0."""
        return self._columns.row(index)

    def columns(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Numbers, ends in microseconds since the claim, and seconds, each of shape (count,)."""
        return self._columns.columns(self.count)

    @property
    def bytes(self) -> int:
        """The memory that the columns take."""
        return self._columns.bytes


NO_EPOCHS = EpochRows(EpochColumns(), 0)
