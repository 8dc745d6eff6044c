"""Batches for Keras's `fit`, and the call itself.

Each epoch draws its own permutation of the training rows from (seed, epoch) alone, so that an attempt that goes on at
epoch n sees the batches that the attempt before it would have seen. Keras's own shuffling, once seeded, draws the same
permutation in every epoch.
"""

from collections.abc import Callable, Iterator
from math import ceil
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from shared.job import JobRecord
from worker.training.callbacks import Callbacks
from worker.training.data import Data
from worker.training.resume.point import Place
from worker.training.resume.session import ResumeSession

# Validation only adds up; larger batches give the same values to 1e-7 in a fraction of the steps.
_VALIDATION_BATCH = 1024


def permutation(seed: int, epoch: int, rows: int) -> npt.NDArray[np.int32]:
    """The order of the training rows in an epoch (from 0): int32 of shape (rows,), by numpy's Philox generator."""
    order: npt.NDArray[np.int32] = (
        np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(rows).astype("i4")
    )
    return order


def train(model: keras.Model, data: Data, record: JobRecord, callbacks: Callbacks, resume: ResumeSession) -> None:
    """Run `fit` from the run's place until a callback stops it or the epochs are done."""
    spec = record.spec.hyperparameters
    rows = len(data.train_x)
    batch_size = min(spec.batch_size, rows)
    model.make_train_function()
    model.train_function = _without_done_batches(model, resume.place)
    with callbacks:
        model.fit(
            _batches(data, batch_size, spec.seed, spec.epochs, resume.place),
            steps_per_epoch=ceil(rows / batch_size),
            initial_epoch=resume.place.epoch,
            # A run that a callback had stopped is only put back together, so that it can say why.
            epochs=resume.place.epoch if resume.was_stopped else spec.epochs,
            validation_data=(data.validation_x, data.validation_y),
            validation_batch_size=max(batch_size, _VALIDATION_BATCH),
            callbacks=callbacks.in_order,
            shuffle=False,
            verbose=0,
        )


def _without_done_batches(model: keras.Model, place: Place) -> Callable[[Any], Any]:
    """Keras's training function, which does nothing for the first calls: so many batches of the epoch are done."""
    train_on = model.train_function
    done = place.step

    def train_function(iterator: Any) -> Any:
        nonlocal done
        if done:
            done -= 1
            return model.get_metrics_result()
        return train_on(iterator)

    return train_function


def _batches(data: Data, batch_size: int, seed: int, epochs: int, place: Place) -> Any:
    """All batches from `place` on, gathered from tensors that TensorFlow holds once."""
    rows = len(data.train_x)
    x, y = tf.constant(data.train_x), tf.constant(data.train_y)

    def orders() -> Iterator[npt.NDArray[np.int32]]:
        for epoch in range(place.epoch, epochs):
            done = place.step * batch_size if epoch == place.epoch else 0
            yield permutation(seed, epoch, rows)[done:]

    return (
        tf.data.Dataset.from_generator(orders, output_signature=tf.TensorSpec((None,), tf.int32))
        .flat_map(
            lambda order: (
                tf.data.Dataset.from_tensor_slices(order)
                .batch(batch_size)
                .map(lambda rows_of_batch: (tf.gather(x, rows_of_batch), tf.gather(y, rows_of_batch)))
            )
        )
        .prefetch(8)
    )
