"""Inspects models with their own code, such as a `train_step` of a script: what their steps compute and log."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

# The methods that decide what `fit` logs.
_LOGGING = ("train_step", "test_step", "compute_metrics")


def is_own(model: keras.Model, method: str) -> bool:
    """Whether the model overrides this method of Keras."""
    found = getattr(model, method)
    return not getattr(found, "__module__", "").startswith("keras.")


def has_own_logs(model: keras.Model) -> bool:
    """Whether the model's steps may return other logs than its metrics; `fit` then logs those of the last batch."""
    return any(is_own(model, method) for method in _LOGGING)


def find_log_specs(
    model: keras.Model, step: Callable[[Any], Any], batch_of: Callable[[Any], Any], block: Sequence[Any]
) -> dict[str, Any] | None:
    """The shapes and types of a step's own logs, by name; None if `fit` logs the model's metrics instead.

    Decides as `Trainer._get_metrics_result_or_logs` does. `block` has the specs of a block of batches. A step that may
    have its own logs is traced, not executed. Raises what the step raises, and TypeError if its logs are not a dict.
    """
    if not has_own_logs(model):
        return None
    specs = tuple(tf.TensorSpec(spec.shape[1:], spec.dtype) for spec in block)
    logs = trace_step(lambda tensors: step(batch_of(tensors)), specs).structured_outputs
    if not isinstance(logs, dict):
        raise TypeError(f"{getattr(step, '__name__', step)} returned {type(logs).__name__}, expected a dict")
    return None if set(logs) == set(model.get_metrics_result()) else logs


def trace_step(step: Callable[[Any], Any], batch: Any) -> Any:
    """Trace a step without executing it, and return the concrete function. Variables that it creates exist then."""
    return tf.function(step, autograph=False).get_concrete_function(batch)


def operations_of(traced: Any) -> set[str]:
    """The types of the TensorFlow operations in a concrete function and in all functions that it calls."""
    return set(_operations(traced.graph))


def _operations(graph: Any) -> Iterator[str]:
    definition = graph.as_graph_def()
    for nodes in (definition.node, *(function.node_def for function in definition.library.function)):
        yield from (node.op for node in nodes)


def zeros_like(logs: Any) -> Any:
    """Tensors of zeros with the shapes and types of `logs`."""
    return tf.nest.map_structure(lambda one: tf.zeros(one.shape, one.dtype), logs)


def like(logs: Any, specs: Any) -> Any:
    """A step's logs as tensors with the types of `specs`."""
    return tf.nest.map_structure(lambda one, spec: tf.cast(tf.convert_to_tensor(one), spec.dtype), logs, specs)


def specs_of_any_rows(batch: Any) -> Any:
    """The specs of batches like `batch`, a nested structure of arrays or tensors, with any number of rows."""

    def spec(array: Any) -> Any:
        tensor = tf.convert_to_tensor(array)
        return tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype)

    return tf.nest.map_structure(lambda leaf: leaf if leaf is None else spec(leaf), batch)
