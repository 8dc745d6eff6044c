"""What a call of `fit` of a script begins with, leaves, and says of itself in its resume points."""

from dataclasses import dataclass
from typing import Any

import keras

from shared.job import Stop
from shared.job_folder import AttemptFolder
from worker.training.program import random_state
from worker.training.program.made_model import MadeModel


@dataclass(frozen=True)
class Before:
    """What the calls before this one left: their number, their epochs, and whose work this attempt has taken up."""

    calls: int = 0
    epochs: int = 0
    taken_up: AttemptFolder | None = None


@dataclass(frozen=True)
class Ended:
    """A call that has ended: what `fit` returns, what comes after it, why it stopped.

    `best` is the job's best model, if this call made it.
    """

    history: keras.callbacks.History
    before: Before
    stop: Stop
    best: MadeModel | None = None


class CallState:
    """What a resume point says of the call that it belongs to."""

    def __init__(self, number: int, seed: int, data: str) -> None:
        self.number, self.seed, self.data = number, seed, data

    def state(self) -> dict[str, Any]:
        """The call, the seed of its order, the hash of its data, and the state of Keras's own random generator."""
        return {"number": self.number, "seed": self.seed, "data": self.data, "keras": random_state.keras_state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Put Keras's random generator back."""
        random_state.restore_keras(state["keras"])
