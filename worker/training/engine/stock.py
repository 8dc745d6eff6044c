"""The stock engine: Keras's own training function on a `tf.data` dataset, with one Python call for each batch."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import repeat
from math import ceil
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from shared.job import EnginePlan
from worker.training.callbacks import Callbacks
from worker.training.data.augment import Changes
from worker.training.data.rows import Data, Part
from worker.training.engine.blocks import Order, gather_changed, on_disk
from worker.training.engine.replicas import Orders, batches_in_shares, train_in_shares
from worker.training.fit_settings import FitSettings
from worker.training.resume.point import Place


class StockEngine:
    """Runs Keras's `fit` on a dataset with the same batches, in the same order, as those of the fused engine."""

    def __init__(
        self, model: keras.Model, data: Data, settings: FitSettings, plan: EnginePlan, device_bytes: int
    ) -> None:
        self._model = model
        self._data = data
        self._settings = settings
        self._plan = plan
        self._device_bytes = device_bytes

    def fit(self, callbacks: Callbacks, epochs: int) -> None:
        """Train from the run's position until a callback stops it or `epochs` (from 1) have finished."""
        place = callbacks.resume.place
        rows = len(self._data.train)
        batch_size = min(self._settings.batch_size, rows)
        validates = bool(len(self._data.validation))
        self._model.jit_compile = self._plan.xla
        if self._plan.devices > 1:
            train_in_shares(self._model)
        self._model.make_train_function(force=True)
        self._model.train_function = skip_done_batches(self._model, place)
        self._model.fit(
            self._training_batches(partial(self._orders, place, batch_size), batch_size),
            steps_per_epoch=ceil(rows / batch_size),
            initial_epoch=place.epoch,
            epochs=epochs,
            validation_data=self._validation() if validates else None,
            validation_steps=self._validation_steps if validates and self._plan.devices > 1 else None,
            callbacks=[*callbacks.in_order, EachBatch(callbacks)],
            shuffle=False,
            verbose=0,
        )

    def _validation(self) -> Any:
        part, batch_size = self._data.validation, self._plan.validation_batch
        stored_order = np.arange(len(part), dtype="i4"), part.draw(0, 0)
        # Keras warns at the end of a dataset of unknown length, so the length is asserted, or the dataset repeats.
        if self._plan.devices > 1:
            return batches_in_shares(self._model, part, lambda: repeat(stored_order), batch_size)
        counted = tf.data.experimental.assert_cardinality(self._validation_steps)
        return _batches(part, lambda: iter([stored_order]), batch_size, self._device_bytes).apply(counted)

    @property
    def _validation_steps(self) -> int:
        return ceil(len(self._data.validation) / self._plan.validation_batch)

    def _training_batches(self, orders: Orders, batch_size: int) -> Any:
        if self._plan.devices > 1:
            return batches_in_shares(self._model, self._data.train, orders, batch_size)
        return _batches(self._data.train, orders, batch_size, self._device_bytes)

    def _orders(self, place: Place, batch_size: int) -> Iterator[tuple[Order, Changes]]:
        """Yield, for each epoch from `place` on, its remaining rows in order, and the augmentation of all rows."""
        train, seed = self._data.train, self._settings.seed
        for epoch in range(place.epoch, self._settings.epochs):
            done = place.step * batch_size if epoch == place.epoch else 0
            order = self._settings.order(epoch, len(train))[done:]
            yield order, train.draw(seed, epoch)


def _batches(part: Part, orders: Orders, batch_size: int, device_bytes: int) -> Any:
    """The batches of all passes: gathered from tensors if the part fits into `device_bytes`, else from files."""
    if part.nbytes > device_bytes:
        return _batches_from_disk(on_disk(part), orders, batch_size)
    tensors = tuple(tf.constant(array) for array in part.take(slice(None)))
    none = part.draw(0, 0).of(np.arange(0))
    specs = (
        tf.TensorSpec((None,), tf.int32),
        tf.TensorSpec((None, none.numbers.shape[1]), tf.float32),
        tf.TensorSpec((None, none.partners.shape[1]), tf.int32),
    )

    def epochs() -> Iterator[tuple[Any, ...]]:
        for order, changes in orders():
            own = changes.of(order)
            yield order, own.numbers, own.partners

    def batch_of(rows: tf.Tensor, numbers: tf.Tensor, partners: tf.Tensor) -> tuple[Any, ...]:
        return part.batch(gather_changed(tensors, rows, numbers, partners))

    return (
        tf.data.Dataset.from_generator(epochs, output_signature=specs)
        .flat_map(lambda *order: tf.data.Dataset.from_tensor_slices(order).batch(batch_size))
        .map(batch_of)
        .prefetch(8)
    )


def _batches_from_disk(part: Part, orders: Orders, batch_size: int) -> Any:
    def batches() -> Iterator[tuple[Any, ...]]:
        for order, changes in orders():
            for start in range(0, len(order), batch_size):
                yield part.take_changed(order[start : start + batch_size], changes)

    one_row = part.take_changed(np.arange(1), part.draw(0, 0))
    specs = tuple(tf.TensorSpec((None, *one.shape[1:]), one.dtype) for one in one_row)
    return (
        tf.data.Dataset.from_generator(batches, output_signature=specs)
        .map(lambda *tensors: part.batch(tensors))
        .prefetch(2)
    )


class EachBatch(keras.callbacks.Callback):
    """Calls the run's callbacks after each batch, as the fused engine does after each of its calls."""

    def __init__(self, callbacks: Callbacks) -> None:
        super().__init__()
        self._callbacks = callbacks

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._callbacks.steps_done(batch + 1, logs or {})

    def on_test_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        self._callbacks.validated(batch + 1)


def skip_done_batches(model: keras.Model, place: Place) -> Callable[[Any], Any]:
    """Wrap Keras's training function, so that it skips the batches of the epoch that are done at `place`."""
    train_on = model.train_function
    done = place.step

    def train_function(iterator: Any) -> Any:
        nonlocal done
        if done > 0:
            done -= model.steps_per_execution
            return model.get_metrics_result()
        return train_on(iterator)

    return train_function
