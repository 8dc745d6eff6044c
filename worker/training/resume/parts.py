"""What a resume point holds beside the model: the callbacks' states, the CSV log and the checkpoints."""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from worker.training.checkpoints import CheckpointStore


class Stateful(Protocol):
    """A callback whose state belongs to the run."""

    def state(self) -> dict[str, Any]:
        """Its state as JSON values."""

    def restore(self, state: dict[str, Any]) -> None:
        """Restore `state`."""


@runtime_checkable
class WithArrays(Protocol):
    """A callback whose state holds arrays beside its JSON values."""

    def arrays(self) -> list[Any]:
        """The arrays, in an order that its state knows; asked for after the state."""

    def restore_arrays(self, arrays: list[Any]) -> None:
        """Take the arrays back; after the state."""


class Log(Protocol):
    """The CSV log."""

    @property
    def length(self) -> int:
        """Its bytes so far."""

    def sync_and_hash(self, length: int) -> str:
        """Bring the first `length` bytes onto the disk; their sha256."""


@dataclass(frozen=True)
class Parts:
    """The parts of one run. `stateful`: the callbacks by the names that a resume point knows them by."""

    stateful: dict[str, Stateful]
    log: Log | None
    checkpoints: CheckpointStore | None
