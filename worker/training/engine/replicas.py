"""Data-parallel training on several devices: each trains a copy of the model on its share of every batch.

`tf.distribute.MirroredStrategy` mirrors the variables, and gradients are summed. Keras alone would leave a device
without rows in a small last batch, average the losses of shares of different sizes, and clip the gradient of each
device. Here each row has the same weight on every device, the sum of the gradients is clipped, and each metric counts
each row once.

Only batch normalization differs from a run on one device: each device normalizes by the rows of its own share.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf

from shared.job import EnginePlan
from worker.training.data.augment import Changes
from worker.training.data.rows import Part
from worker.training.engine.blocks import Order
from worker.training.errors import TooFewDevices

# For each pass over the rows: their order, and the augmentation of each row.
Orders = Callable[[], Iterator[tuple[Order, Changes]]]


def model_scope(plan: EnginePlan) -> AbstractContextManager[Any]:
    """The context in which to build the plan's model, with its variables on each device. Raises TooFewDevices."""
    if plan.devices == 1:
        return nullcontext()
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    found = len(tf.config.list_logical_devices(kind))
    if found < plan.devices:
        raise TooFewDevices(
            f"the job trains on {plan.devices} devices, and this worker's slot has {found} ({kind}); "
            f"it needs a worker with FITSTOP_SLOT_DEVICES={plan.devices} or more"
        )
    # The strategy logs a line for each variable.
    tf.get_logger().setLevel(logging.WARNING)
    names = [f"{kind}:{number}" for number in range(plan.devices)]
    scope: AbstractContextManager[Any] = tf.distribute.MirroredStrategy(names).scope()
    return scope


def train_in_shares(model: keras.Model) -> None:
    """Make the model's steps take the elements of `batches_in_shares`. A test pins the private names of Keras."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    # The gradients are summed in the step, before the optimizer clips them.
    optimizer._all_reduce_sum_gradients = list
    # Keras would read a batch to build the variables, which exist already.
    model._maybe_symbolic_build = lambda *_, **__: None
    model.train_step = partial(_train_step, model)
    model.test_step = partial(_test_step, model)
    model.train_function = model.test_function = None


def batches_in_shares(
    model: keras.Model, part: Part, orders: Orders, batch_size: int
) -> tf.distribute.DistributedDataset:
    """The batches of all passes, one after the other, each divided among the devices of the model.

    An element on a device is (the device's part of the batch, its number of rows, the number of rows of the whole
    batch). If the batch has fewer rows than there are devices, a device without a row computes on one with weight 0.
    """
    strategy = model.distribute_strategy
    shares = partial(_shares, part, orders, batch_size, strategy.num_replicas_in_sync)
    one_row = part.take_changed(np.arange(1), part.draw(0, 0))
    count = tf.TensorSpec((), tf.float32)
    specs = (*(tf.TensorSpec((None, *one.shape[1:]), one.dtype) for one in one_row), count, count)
    dataset = (
        tf.data.Dataset.from_generator(shares, output_signature=specs)
        .map(lambda *tensors: (part.batch(tensors[:-2]), *tensors[-2:]))
        .prefetch(2 * strategy.num_replicas_in_sync)
    )
    return strategy.distribute_datasets_from_function(lambda _: dataset)


def _shares(part: Part, orders: Orders, batch_size: int, devices: int) -> Iterator[tuple[Any, ...]]:
    for order, changes in orders():
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            for share in np.array_split(rows, devices):
                taken = part.take_changed(share if len(share) else rows[:1], changes)
                yield *taken, np.float32(len(share)), np.float32(len(rows))


@dataclass(frozen=True)
class _Share:
    """One device's part of a batch. `rows`: number of its rows that count; `of_rows`: rows of the whole batch."""

    x: Any
    y: Any
    sample_weight: Any
    rows: tf.Tensor
    of_rows: tf.Tensor

    @classmethod
    def of(cls, data: tuple[Any, tf.Tensor, tf.Tensor]) -> Self:
        batch, rows, of_rows = data
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
        return cls(x, y, sample_weight, rows, of_rows)


def _train_step(model: keras.Model, data: tuple[Any, tf.Tensor, tf.Tensor]) -> Any:
    """Keras's training step, with the loss weighted by the number of rows of the share."""
    share, devices = _Share.of(data), tf.distribute.get_replica_context()
    with tf.GradientTape() as tape:
        y_pred = model(share.x, training=True)
        loss = _loss(model, share, y_pred, training=True)
        # Keras has divided the loss by the number of devices. With this weight, the devices' losses sum to the batch's.
        scaled = model.optimizer.scale_loss(loss * share.rows * devices.num_replicas_in_sync / share.of_rows)
    weights = model.trainable_weights
    gradients = tape.gradient(scaled, weights)
    known = [gradient for gradient in gradients if gradient is not None]
    added = iter(devices.all_reduce(tf.distribute.ReduceOp.SUM, known))
    summed = [None if gradient is None else next(added) for gradient in gradients]
    model.optimizer.apply_gradients(zip(summed, weights, strict=True))
    return _metrics(model, share, y_pred)


def _test_step(model: keras.Model, data: tuple[Any, tf.Tensor, tf.Tensor]) -> Any:
    share = _Share.of(data)
    y_pred = model(share.x, training=False)
    _loss(model, share, y_pred, training=False)
    return _metrics(model, share, y_pred)


def _loss(model: keras.Model, share: _Share, y_pred: Any, *, training: bool) -> tf.Tensor:
    """The share's mean loss, divided by the number of devices as in Keras. The logged loss is weighted by rows."""
    loss = model._compute_loss(
        x=share.x, y=share.y, y_pred=y_pred, sample_weight=share.sample_weight, training=training
    )
    devices = tf.distribute.get_strategy().num_replicas_in_sync
    model._loss_tracker.update_state(loss * devices, sample_weight=share.rows)
    return loss


def _metrics(model: keras.Model, share: _Share, y_pred: Any) -> Any:
    """Update the metrics with the rows that count, and return their values so far."""
    counted = tf.cast(share.rows, tf.int32)
    y, y_pred = keras.tree.map_structure(lambda one: one[:counted], (share.y, y_pred))
    weight = None if share.sample_weight is None else share.sample_weight[:counted]
    return model.compute_metrics(share.x, y, y_pred, weight)
