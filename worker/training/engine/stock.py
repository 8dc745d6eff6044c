"""The stock engine: Keras's own training function over a dataset of batches, one Python call for each batch."""

from collections.abc import Callable, Iterator
from math import ceil
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from shared.job import EnginePlan, JobRecord
from worker.training.callbacks import Callbacks
from worker.training.data.table import Data
from worker.training.engine.order import permutation
from worker.training.resume.point import Place


class StockEngine:
    """Keras's `fit` on a dataset that draws each epoch's order as the fused engine does."""

    def __init__(self, model: keras.Model, data: Data, record: JobRecord, plan: EnginePlan) -> None:
        self._model = model
        self._data = data
        self._spec = record.spec.hyperparameters
        self._plan = plan

    def fit(self, callbacks: Callbacks, epochs: int) -> None:
        place = callbacks.resume.place
        rows = len(self._data.train_x)
        batch_size = min(self._spec.batch_size, rows)
        self._model.jit_compile = self._plan.xla
        self._model.make_train_function(force=True)
        self._model.train_function = _without_done_batches(self._model, place)
        self._model.fit(
            self._batches(batch_size, place),
            steps_per_epoch=ceil(rows / batch_size),
            initial_epoch=place.epoch,
            epochs=epochs,
            validation_data=self._data.validation,
            validation_batch_size=self._plan.validation_batch,
            callbacks=[*callbacks.in_order, _EachBatch(callbacks)],
            shuffle=False,
            verbose=0,
        )

    def _batches(self, batch_size: int, place: Place) -> Any:
        """All batches from `place` on, gathered from tensors that TensorFlow holds once."""
        rows = len(self._data.train_x)
        tensors = tuple(tf.constant(array) for array in self._data.training)

        def orders() -> Iterator[npt.NDArray[np.int32]]:
            for epoch in range(place.epoch, self._spec.epochs):
                done = place.step * batch_size if epoch == place.epoch else 0
                yield permutation(self._spec.seed, epoch, rows)[done:]

        return (
            tf.data.Dataset.from_generator(orders, output_signature=tf.TensorSpec((None,), tf.int32))
            .flat_map(
                lambda order: (
                    tf.data.Dataset.from_tensor_slices(order)
                    .batch(batch_size)
                    .map(lambda rows_of_batch: tuple(tf.gather(one, rows_of_batch) for one in tensors))
                )
            )
            .prefetch(8)
        )


class _EachBatch(keras.callbacks.Callback):
    """Tells the run's callbacks of each batch, as the fused engine does after each of its calls."""

    def __init__(self, callbacks: Callbacks) -> None:
        super().__init__()
        self._callbacks = callbacks

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._callbacks.steps_done(batch + 1, logs or {})

    def on_test_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        self._callbacks.validated(batch + 1)


def _without_done_batches(model: keras.Model, place: Place) -> Callable[[Any], Any]:
    """Keras's training function, which does nothing for the first calls: those batches of the epoch are done."""
    train_on = model.train_function
    done = place.step

    def train_function(iterator: Any) -> Any:
        nonlocal done
        if done:
            done -= 1
            return model.get_metrics_result()
        return train_on(iterator)

    return train_function
