"""Keras's own `fit` on the script's arguments, for data that Fitstop's engines do not support.

Such a run is saved only at the end of epochs.
"""

from collections.abc import Callable, Mapping
from typing import Any

import keras

from worker.training.callbacks import Callbacks
from worker.training.engine.stock import EachBatch


class OwnLoop:
    """An engine that runs Keras's own `fit` on the script's data."""

    def __init__(self, fit: Callable[..., Any], model: keras.Model, arguments: Mapping[str, Any]) -> None:
        self._fit = fit
        self._model = model
        self._arguments = dict(arguments)

    def fit(self, callbacks: Callbacks, epochs: int) -> None:
        """Train from the run's position until a callback stops it or `epochs` have finished."""
        changes = {
            "initial_epoch": callbacks.resume.place.epoch,
            "epochs": epochs,
            "callbacks": [*callbacks.in_order, EachBatch(callbacks)],
            "verbose": 0,
        }
        self._fit(self._model, **{**self._arguments, **changes})
