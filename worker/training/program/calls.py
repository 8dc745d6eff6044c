"""A script's call of `fit`: the calls before it, its result, and its state in a resume point."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from shared.job import EnginePlan, Stop
from shared.job_folder import AttemptFolder
from worker.training.program import random_state
from worker.training.program.made_model import MadeModel


@dataclass(frozen=True)
class Before:
    """The earlier calls: their number, their epochs, and the attempt that was resumed, if any."""

    calls: int = 0
    epochs: int = 0
    resumed_attempt: AttemptFolder | None = None


@dataclass(frozen=True)
class Ended:
    """A finished call: what `fit` returns, the calls including this one, and why it stopped.

    `best` is the job's best model, if this call made it.
    """

    history: keras.callbacks.History
    before: Before
    stop: Stop
    best: MadeModel | None = None


class CallState:
    """The state of a call in a resume point. `seed`: of the order of rows. `data`: hash of the data.

    `plan`: the engine's plan, if known. A resumed call keeps it, because another plan would change the last bits.
    """

    def __init__(self, number: int, seed: int, data: str) -> None:
        self.number, self.seed, self.data = number, seed, data
        self.plan: EnginePlan | None = None

    def state(self) -> dict[str, Any]:
        """The call, the seed of its order, the hash of its data, its plan, and the state of Keras's own generator."""
        plan = {} if self.plan is None else {"plan": self.plan.model_dump(mode="json")}
        keras_state = random_state.keras_state()
        return {"number": self.number, "seed": self.seed, "data": self.data, "keras": keras_state, **plan}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore Keras's random generator."""
        random_state.restore_keras(state["keras"])


def bind_arguments(
    fit: Callable[..., Any], model: keras.Model, arguments: tuple[Any, ...], named: dict[str, Any]
) -> dict[str, Any]:
    """The arguments of a call of `fit` by their names, with Keras's defaults. Raises TypeError as the call would."""
    bound = inspect.signature(fit).bind(model, *arguments, **named)
    bound.apply_defaults()
    _, *rest = bound.arguments.items()
    return dict(rest)
