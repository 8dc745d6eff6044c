"""The fused engine's compiled programs: each call makes any number of steps over batches that are on the device.

The number of steps is an argument, so a program is compiled once for all numbers. The results do not depend on it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from worker.training.engine.own_code import find_log_specs, like, zeros_like

_COUNT = tf.TensorSpec((), tf.int32)
_FLAG = tf.TensorSpec((), tf.bool)

Tensors = tuple[tf.Tensor, ...]
Specs = tuple[tf.TensorSpec, ...]
# Makes the argument of a Keras step (x, y, sample weights) from one tensor for each array of the data.
BatchOf = Callable[[Sequence[Any]], tuple[Any, ...]]


def training_program(model: keras.Model, block: Specs, batch_of: BatchOf, *, xla: bool, prefetch: bool = False) -> Any:
    """A function `(block, start, stop, is_first) -> (step, logs)` that trains on the batches `start` to `stop - 1`.

    A block's tensors have the shape (batches, rows of a batch, …). The call with `is_first`, the first of an epoch,
    resets the metrics. The call ends early after a batch whose loss is not finite; `step` is the number after the last
    batch that was trained on. `logs` are the epoch's metrics so far; if the model's own `train_step` returns other
    logs, they are those of the last batch. With `prefetch`, the next batch is computed during a step, which pays
    off if `batch_of` does much work; the results are the same.
    """
    own = find_log_specs(model, model.train_step, batch_of, block)

    def train(batches: Tensors, start: tf.Tensor, stop: tf.Tensor, is_first: tf.Tensor) -> Any:
        def batch(step: tf.Tensor) -> Any:
            return batch_of([part[step] for part in batches])

        def one_step(step: tf.Tensor, _: tf.Tensor, ready: Any, __: Any) -> Any:
            following = tf.cond(step + 1 < stop, lambda: batch(step + 1), lambda: ready) if prefetch else ()
            logs = model.train_step(ready if prefetch else batch(step))
            is_finite = _is_finite(logs["loss"]) if "loss" in logs else tf.constant(value=True)
            return step + 1, is_finite, following, () if own is None else like(logs, own)

        def goes_on(step: tf.Tensor, is_finite: tf.Tensor, *_: Any) -> Any:
            return tf.logical_and(step < stop, is_finite)

        _begin_metrics(model, is_first)
        first, none = batch(start) if prefetch else (), () if own is None else zeros_like(own)
        step, _, _, logs = tf.while_loop(goes_on, one_step, (start, tf.constant(value=True), first, none))
        return step, model.get_metrics_result() if own is None else logs

    return tf.function(train, input_signature=[block, _COUNT, _COUNT, _FLAG], jit_compile=xla, autograph=False)


def validation_program(model: keras.Model, block: Specs, batch_of: BatchOf, *, xla: bool) -> Any:
    """A function `(block, start, stop, is_first) -> (logs, finite)` that validates on batches `start` to `stop - 1`.

    The call with `is_first` resets the metrics. `logs` are as in `training_program`, and `finite` is the result of
    `finite_flags`.
    """
    own = find_log_specs(model, model.test_step, batch_of, block)

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
    """A function `(tensors) -> logs` for the last, partial batch; without XLA, which does not pay off here."""

    def tail(tensors: Tensors) -> Any:
        logs, metrics = step(batch_of(tensors)), model.get_metrics_result()
        return metrics if set(logs) == set(metrics) else logs

    return tf.function(tail, jit_compile=False, autograph=False)


def finite_flags(model: keras.Model) -> tf.Tensor:
    """For each trainable variable, whether all of its numbers are finite: bool of shape (variables,)."""
    return tf.stack([tf.reduce_all(_is_finite(one)) for one in model.trainable_variables])


def _is_finite(number: Any) -> tf.Tensor:
    """Whether each number is finite. Each `tf.math.is_finite` would add 6 milliseconds to the compilation by XLA."""
    return tf.equal(number - number, 0)


def _begin_metrics(model: keras.Model, is_first: tf.Tensor) -> None:
    """Reset the metrics if `is_first`, inside the program: Keras's `fit` assigns each variable from Python."""

    def begin() -> tf.Tensor:
        model.reset_metrics()
        return tf.constant(0)

    tf.cond(is_first, begin, lambda: tf.constant(0))
