"""The compiled programs: as many steps as asked for in one call, over batches that lie on the device.

The number of steps is an argument, so one compile serves every length, and the length changes no bit of the result.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from worker.training.engine.own_code import like, logs_beside_metrics, zeros_like

_COUNT = tf.TensorSpec((), tf.int32)
_FLAG = tf.TensorSpec((), tf.bool)

Tensors = tuple[tf.Tensor, ...]
Specs = tuple[tf.TensorSpec, ...]
# From one tensor for each array of the data to what a step of Keras's takes: x, y, and weights.
BatchOf = Callable[[Sequence[Any]], tuple[Any, ...]]


def training_program(model: keras.Model, block: Specs, batch_of: BatchOf, *, xla: bool, ahead: bool = False) -> Any:
    """`(block, start, stop, is_first) -> (step, logs)`: train on the batches from `start` until before `stop`.

    A block's tensors have the shape (batches, rows of a batch, …). The program ends right after a batch that makes the
    loss not finite, and `step` says how far it came. `logs` are the metrics of the epoch until there, or what a step of
    the model's own gives for its last batch; the first call of an epoch begins the metrics again. With `ahead` a batch
    is made while the step before it trains: for a `batch_of` that computes. This changes no bit of the result.
    """
    own = logs_beside_metrics(model, model.train_step, batch_of, block)

    def train(batches: Tensors, start: tf.Tensor, stop: tf.Tensor, is_first: tf.Tensor) -> Any:
        def batch(step: tf.Tensor) -> Any:
            return batch_of([part[step] for part in batches])

        def one_step(step: tf.Tensor, _: tf.Tensor, ready: Any, __: Any) -> Any:
            following = tf.cond(step + 1 < stop, lambda: batch(step + 1), lambda: ready) if ahead else ()
            logs = model.train_step(ready if ahead else batch(step))
            is_finite = _is_finite(logs["loss"]) if "loss" in logs else tf.constant(value=True)
            return step + 1, is_finite, following, () if own is None else like(logs, own)

        def goes_on(step: tf.Tensor, is_finite: tf.Tensor, *_: Any) -> Any:
            return tf.logical_and(step < stop, is_finite)

        _begin_metrics(model, is_first)
        first, none = batch(start) if ahead else (), () if own is None else zeros_like(own)
        step, _, _, logs = tf.while_loop(goes_on, one_step, (start, tf.constant(value=True), first, none))
        return step, model.get_metrics_result() if own is None else logs

    return tf.function(train, input_signature=[block, _COUNT, _COUNT, _FLAG], jit_compile=xla, autograph=False)


def validation_program(model: keras.Model, block: Specs, batch_of: BatchOf, *, xla: bool) -> Any:
    """`(block, start, stop, is_first) -> (logs, finite)`: add the batches from `start` until before `stop` up.

    `finite` has a flag for each trainable variable: whether all of its numbers are finite.
    """
    own = logs_beside_metrics(model, model.test_step, batch_of, block)

    def validate(batches: Tensors, start: tf.Tensor, stop: tf.Tensor, is_first: tf.Tensor) -> Any:
        def one_step(step: tf.Tensor, _: Any) -> Any:
            logs = model.test_step(batch_of([part[step] for part in batches]))
            return step + 1, () if own is None else like(logs, own)

        _begin_metrics(model, is_first)
        none = () if own is None else zeros_like(own)
        _, logs = tf.while_loop(lambda step, _: step < stop, one_step, (start, none))
        return model.get_metrics_result() if own is None else logs, finite_flags(model)

    return tf.function(validate, input_signature=[block, _COUNT, _COUNT, _FLAG], jit_compile=xla, autograph=False)


def tail_program(model: keras.Model, step: Any, batch_of: BatchOf) -> Any:
    """`(tensors) -> logs` for the last partial batch. One step an epoch is not worth a compile by XLA."""

    def tail(tensors: Tensors) -> Any:
        logs, metrics = step(batch_of(tensors)), model.get_metrics_result()
        return metrics if set(logs) == set(metrics) else logs

    return tf.function(tail, jit_compile=False, autograph=False)


def finite_flags(model: keras.Model) -> tf.Tensor:
    """For each trainable variable, whether all of its numbers are finite: of shape (variables,)."""
    return tf.stack([tf.reduce_all(_is_finite(one)) for one in model.trainable_variables])


def _is_finite(number: Any) -> tf.Tensor:
    """Of each number. TensorFlow has a pass of MLIR for each `tf.math.is_finite` that XLA compiles: 6 milliseconds."""
    return tf.equal(number - number, 0)


def _begin_metrics(model: keras.Model, is_first: tf.Tensor) -> None:
    """What Keras's `fit` does by an assignment for each metric's variable from Python."""

    def begin() -> tf.Tensor:
        model.reset_metrics()
        return tf.constant(0)

    tf.cond(is_first, begin, lambda: tf.constant(0))
