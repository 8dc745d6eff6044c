"""Batches for Keras's `fit`, and the call itself.

Each epoch draws its own permutation of the training rows from (seed, epoch) alone, so that an attempt that goes on at
epoch n sees the batches that the attempt before it would have seen. Keras's own shuffling, once seeded, draws the same
permutation in every epoch.
"""

from math import ceil
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from shared.job import JobRecord
from worker.training.callbacks import Callbacks
from worker.training.data import Data

# Validation only adds up; larger batches give the same values to 1e-7 in a fraction of the steps.
_VALIDATION_BATCH = 1024


def permutation(seed: int, epoch: int, rows: int) -> npt.NDArray[np.int32]:
    """The order of the training rows in an epoch (from 0): int32 of shape (rows,), by numpy's Philox generator."""
    order: npt.NDArray[np.int32] = (
        np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(rows).astype("i4")
    )
    return order


def train(model: keras.Model, data: Data, record: JobRecord, callbacks: Callbacks) -> None:
    """Run `fit` until a callback stops it or the epochs are done."""
    spec = record.spec.hyperparameters
    rows = len(data.train_x)
    batch_size = min(spec.batch_size, rows)
    with callbacks:
        model.fit(
            _batches(data, batch_size, spec.seed, spec.epochs),
            steps_per_epoch=ceil(rows / batch_size),
            epochs=spec.epochs,
            validation_data=(data.validation_x, data.validation_y),
            validation_batch_size=max(batch_size, _VALIDATION_BATCH),
            callbacks=callbacks.in_order,
            shuffle=False,
            verbose=0,
        )


def _batches(data: Data, batch_size: int, seed: int, epochs: int) -> Any:
    """All epochs' batches in a row, gathered from tensors that TensorFlow holds once."""
    rows = len(data.train_x)
    x, y = tf.constant(data.train_x), tf.constant(data.train_y)
    orders = tf.data.Dataset.from_generator(
        lambda: (permutation(seed, epoch, rows) for epoch in range(epochs)),
        output_signature=tf.TensorSpec((rows,), tf.int32),
    )
    return orders.flat_map(
        lambda order: (
            tf.data.Dataset.from_tensor_slices(order)
            .batch(batch_size)
            .map(lambda rows_of_batch: (tf.gather(x, rows_of_batch), tf.gather(y, rows_of_batch)))
        )
    ).prefetch(8)
