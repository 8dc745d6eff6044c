"""Captures and restores the state that a run's numbers depend on, and that is in no other file.

    model.variables        weights, and the counters of seed generators, which a .keras file does not contain
    optimizer.variables    iterations, learning rate, moments
    metrics_variables      only inside an epoch: Keras resets them at its beginning
    Python's and numpy's random generators

The order of the data is not stored, because it follows from (seed, epoch).
"""

import random
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from worker.training.resume.point import DamagedPoint, ResumePoint

_Tensors = tuple[tuple[str, Any], ...]


def snapshot_tensors(model: keras.Model, *, inside_epoch: bool) -> _Tensors:
    """The variables' values at this moment, with names, in the same order for the same spec.

    Nothing is copied yet: TensorFlow copies a tensor that is referenced before it changes the variable.
    """
    generator: Any = np.random.get_state()
    return (
        *(
            (name, tf.convert_to_tensor(variable.value if isinstance(variable, keras.Variable) else variable))
            for name, variable in _saved_variables(model, inside_epoch=inside_epoch)
        ),
        ("random:numpy", generator[1].copy()),
    )


def capture_random() -> dict[str, Any]:
    """The state of Python's random generator, and that of numpy's without its array, which is a tensor of the point."""
    version, internal, gauss = random.getstate()
    name, _, position, has_gauss, cached = np.random.get_state()
    return {
        "python": [version, list(internal), gauss],
        "numpy": [str(name), int(position), int(has_gauss), float(cached)],
    }


def check_tensors(model: keras.Model, point: ResumePoint) -> None:
    """Raise DamagedPoint unless the tensors fit the model, which other library versions may build differently."""
    inside_epoch = point.place.step > 0
    variables = list(_saved_variables(model, inside_epoch=inside_epoch))
    saved = [(name, array) for name, array in point.tensors if not name.startswith(("random:", "callback:"))]
    if [name for name, _ in saved] != [name for name, _ in variables]:
        raise DamagedPoint("it belongs to another model")
    for (name, array), (_, variable) in zip(saved, variables, strict=True):
        if tuple(variable.shape) != array.shape or keras.backend.standardize_dtype(variable.dtype) != array.dtype.name:
            raise DamagedPoint(f"its {name} is {array.dtype.name} of shape {array.shape}, unlike the model's")


def check_random(point: ResumePoint) -> None:
    """Raise DamagedPoint if `restore_random` cannot restore the point's random generators."""
    try:
        version, internal, gauss = point.random["python"]
        random.Random().setstate((version, tuple(internal), gauss))  # noqa: S311
        np.random.RandomState().set_state(_numpy_state(point))
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedPoint(f"the state of its random generators cannot be restored: {error!r}") from error


def restore_tensors(model: keras.Model, point: ResumePoint) -> None:
    """Restore all variables except the metrics."""
    saved = dict(point.tensors)
    for name, variable in _saved_variables(model, inside_epoch=False):
        variable.assign(saved[name])


def restore_metrics(model: keras.Model, point: ResumePoint) -> None:
    """Restore the metrics of an unfinished epoch. Call this after Keras has reset them."""
    saved = dict(point.tensors)
    for name, variable in _saved_variables(model, inside_epoch=True):
        if name.startswith("metric:"):
            variable.assign(saved[name])


def restore_random(point: ResumePoint) -> None:
    """Restore Python's and numpy's random generators."""
    version, internal, gauss = point.random["python"]
    random.setstate((version, tuple(internal), gauss))
    np.random.set_state(_numpy_state(point))


def _numpy_state(point: ResumePoint) -> tuple[str, npt.NDArray[Any], int, int, float]:
    name, position, has_gauss, cached = point.random["numpy"]
    return name, dict(point.tensors)["random:numpy"], position, has_gauss, cached


def build_variables(model: keras.Model, batch: tuple[Any, ...]) -> None:
    """Create the variables of the optimizer and the metrics now, without a step. `batch` is one batch of the data.

    Keras would create them in the first step. `_symbolic_build` is a private name of Keras's; a test pins it.
    """
    model._symbolic_build(data_batch=batch)


def own_optimizers(model: keras.Model) -> list[tuple[str, Any]]:
    """The optimizers that a model's own class has in addition to the compiled one, by attribute name."""
    found = sorted(
        (name, value) for name, value in vars(model).items() if isinstance(value, keras.optimizers.Optimizer)
    )
    return [(name, value) for name, value in found if value is not model.optimizer]


def named_variables(model: keras.Model, *, inside_epoch: bool) -> list[tuple[str, Any]]:
    """The variables that a resume point saves, with names; `inside_epoch`: also those of the metrics."""
    named = [(f"model:{index}", variable) for index, variable in enumerate(model.variables)]
    named += [(f"optimizer:{index}", variable) for index, variable in enumerate(model.optimizer.variables)]
    for attribute, optimizer in own_optimizers(model):
        named += [(f"{attribute}:{index}", variable) for index, variable in enumerate(optimizer.variables)]
    if inside_epoch:
        named += [(f"metric:{index}", variable) for index, variable in enumerate(model.metrics_variables)]
    return named


def _saved_variables(model: keras.Model, *, inside_epoch: bool) -> Iterator[tuple[str, Any]]:
    """Yield `named_variables`; a variable whose value may differ between devices once for each device."""
    for name, variable in named_variables(model, inside_epoch=inside_epoch):
        if isinstance(variable.value, tf.distribute.DistributedValues) and _may_differ(name, variable):
            yield from ((f"{name}@{device}", one) for device, one in enumerate(variable.value.values))
        else:
            yield name, variable


def _may_differ(name: str, variable: Any) -> bool:
    """Whether the variable's value may differ between the devices of a run.

    Metrics differ, because they are summed only when they are read, and so do the statistics of batch normalization.
    What the optimizer changes is the same on every device, because all devices apply the same gradients.
    """
    is_own = not variable.trainable and variable.value.aggregation == tf.VariableAggregation.NONE
    is_added_up = variable.value.synchronization == tf.VariableSynchronization.ON_READ
    return bool(is_added_up or (is_own and name.startswith("model:")))
