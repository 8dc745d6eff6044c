"""Keras's own `fit` on what the script gave it: for data that is not rows, and ways that Fitstop does not know.

The run is watched, stopped and saved as any other, at the ends of epochs alone.
"""

from collections.abc import Callable, Mapping
from typing import Any

import keras

from worker.training.callbacks import Callbacks
from worker.training.engine.stock import EachBatch


class OwnLoop:
    """Goes through the script's data by Keras's own `fit`."""

    def __init__(self, fit: Callable[..., Any], model: keras.Model, arguments: Mapping[str, Any]) -> None:
        self._fit = fit
        self._model = model
        self._arguments = dict(arguments)

    def fit(self, callbacks: Callbacks, epochs: int) -> None:
        """Train from the run's place until a callback stops it or `epochs` are done."""
        changes = {
            "initial_epoch": callbacks.resume.place.epoch,
            "epochs": epochs,
            "callbacks": [*callbacks.in_order, EachBatch(callbacks)],
            "verbose": 0,
        }
        self._fit(self._model, **{**self._arguments, **changes})
