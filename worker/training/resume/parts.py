"""What a resume point contains besides the model: the callbacks' states, the CSV log and the checkpoints."""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from worker.training.checkpoints import CheckpointStore


class Stateful(Protocol):
    """A callback whose state a resume point saves."""

    def state(self) -> dict[str, Any]:
        """Its state as JSON values."""

    def restore(self, state: dict[str, Any]) -> None:
        """Restore `state`."""


@runtime_checkable
class WithArrays(Protocol):
    """A callback whose state also has arrays."""

    def arrays(self) -> list[Any]:
        """The arrays, in an order that its state describes. Called after `state`."""

    def restore_arrays(self, arrays: list[Any]) -> None:
        """Restore the arrays. Called after `restore`."""


class Log(Protocol):
    """The CSV log."""

    @property
    def length(self) -> int:
        """Its length in bytes."""

    def sync_and_hash(self, length: int) -> str:
        """Flush the first `length` bytes to the disk, and return their SHA-256."""


@dataclass(frozen=True)
class Parts:
    """The parts of one run. `stateful`: the callbacks by their names in a resume point."""

    stateful: dict[str, Stateful]
    log: Log | None
    checkpoints: CheckpointStore | None
