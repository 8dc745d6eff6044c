"""Models with code of a script's own: whether their steps are Keras's, what these draw, and what they give `fit`."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

# What decides which numbers `fit` logs.
_LOGGING = ("train_step", "test_step", "compute_metrics")


def is_own(model: keras.Model, method: str) -> bool:
    """Whether a method of a model is none of Keras's."""
    found = getattr(model, method)
    return not getattr(found, "__module__", "").startswith("keras.")


def has_own_logs(model: keras.Model) -> bool:
    """Whether a step may give `fit` other numbers than the metrics: those of its last batch."""
    return any(is_own(model, method) for method in _LOGGING)


def logs_beside_metrics(
    model: keras.Model, step: Callable[[Any], Any], batch_of: Callable[[Any], Any], block: Sequence[Any]
) -> dict[str, Any] | None:
    """The shapes and types of a step's logs where `fit` takes those of the last batch; None where it takes the metrics.

    As `Trainer._get_metrics_result_or_logs` decides. `block` has the specs of blocks of batches. Traces a step that may
    have logs of its own, and takes none. Raises what it raises, and TypeError where its logs are no dictionary.
    """
    if not has_own_logs(model):
        return None
    specs = tuple(tf.TensorSpec(spec.shape[1:], spec.dtype) for spec in block)
    logs = trace_step(lambda tensors: step(batch_of(tensors)), specs).structured_outputs
    if not isinstance(logs, dict):
        raise TypeError(f"{getattr(step, '__name__', step)} returned {type(logs).__name__}, expected a dict")
    return None if set(logs) == set(model.get_metrics_result()) else logs


def trace_step(step: Callable[[Any], Any], batch: Any) -> Any:
    """A step's concrete function; what it creates exists then, and no step is taken."""
    return tf.function(step, autograph=False).get_concrete_function(batch)


def operations_of(traced: Any) -> set[str]:
    """The kinds of TensorFlow's operations in a concrete function and in all functions that it calls."""
    return set(_operations(traced.graph))


def _operations(graph: Any) -> Iterator[str]:
    definition = graph.as_graph_def()
    for nodes in (definition.node, *(function.node_def for function in definition.library.function)):
        yield from (node.op for node in nodes)


def zeros_like(logs: Any) -> Any:
    """Tensors of zeros of the shapes and types of `logs`."""
    return tf.nest.map_structure(lambda one: tf.zeros(one.shape, one.dtype), logs)


def like(logs: Any, specs: Any) -> Any:
    """A step's logs as tensors of these types."""
    return tf.nest.map_structure(lambda one, spec: tf.cast(tf.convert_to_tensor(one), spec.dtype), logs, specs)


def with_any_rows(batch: Any) -> Any:
    """The specs of batches of any number of rows, like one batch in any structure of arrays or tensors."""

    def spec(array: Any) -> Any:
        tensor = tf.convert_to_tensor(array)
        return tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype)

    return tf.nest.map_structure(lambda leaf: leaf if leaf is None else spec(leaf), batch)
