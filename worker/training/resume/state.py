"""Everything that a run's numbers depend on and that is not on the volume yet: captured, and put back.

    model.variables        weights, and the seed generators' counters, which no .keras file holds
    optimizer.variables    iterations, learning rate, moments
    metrics_variables      only inside an epoch; Keras resets them when one begins
    Python's and numpy's random generators

Nothing of the data's order is stored: it follows from (seed, epoch) alone.
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
    """The variables' values at this moment, in an order that the same spec always gives; nothing is copied yet.

    TensorFlow copies a variable's tensor before it changes it while a reference is held. Anything with `__array__`
    may be written.
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
    """Python's generator, and what of numpy's is not a tensor."""
    version, internal, gauss = random.getstate()
    name, _, position, has_gauss, cached = np.random.get_state()
    return {
        "python": [version, list(internal), gauss],
        "numpy": [str(name), int(position), int(has_gauss), float(cached)],
    }


def check_tensors(model: keras.Model, point: ResumePoint) -> None:
    """Raise DamagedPoint where the point is not of this model: another library may build it otherwise."""
    inside_epoch = point.place.step > 0
    variables = list(_saved_variables(model, inside_epoch=inside_epoch))
    saved = [(name, array) for name, array in point.tensors if not name.startswith(("random:", "callback:"))]
    if [name for name, _ in saved] != [name for name, _ in variables]:
        raise DamagedPoint("it belongs to another model")
    for (name, array), (_, variable) in zip(saved, variables, strict=True):
        if tuple(variable.shape) != array.shape or keras.backend.standardize_dtype(variable.dtype) != array.dtype.name:
            raise DamagedPoint(f"its {name} is {array.dtype.name} of shape {array.shape}, unlike the model's")


def check_random(point: ResumePoint) -> None:
    """Raise DamagedPoint where the generators' states are not there as `restore_random` puts them back."""
    try:
        version, internal, gauss = point.random["python"]
        random.Random().setstate((version, tuple(internal), gauss))  # noqa: S311
        np.random.RandomState().set_state(_numpy_state(point))
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedPoint(f"the state of its random generators cannot be restored: {error!r}") from error


def restore_tensors(model: keras.Model, point: ResumePoint) -> None:
    """Put back all but the metrics."""
    saved = dict(point.tensors)
    for name, variable in _saved_variables(model, inside_epoch=False):
        variable.assign(saved[name])


def restore_metrics(model: keras.Model, point: ResumePoint) -> None:
    """Put back the metrics of an epoch that was left in its middle; call after Keras has reset them."""
    saved = dict(point.tensors)
    for name, variable in _saved_variables(model, inside_epoch=True):
        if name.startswith("metric:"):
            variable.assign(saved[name])


def restore_random(point: ResumePoint) -> None:
    """Put back Python's and numpy's generators."""
    version, internal, gauss = point.random["python"]
    random.setstate((version, tuple(internal), gauss))
    np.random.set_state(_numpy_state(point))


def _numpy_state(point: ResumePoint) -> tuple[str, npt.NDArray[Any], int, int, float]:
    name, position, has_gauss, cached = point.random["numpy"]
    return name, dict(point.tensors)["random:numpy"], position, has_gauss, cached


def build_variables(model: keras.Model, batch: tuple[Any, ...]) -> None:
    """Make the optimizer's and the metrics' variables exist before training, without a step.

    Keras would make them in the first step. `_symbolic_build` is a private name of Keras's; a test pins it.
    """
    model._symbolic_build(data_batch=batch)


def own_optimizers(model: keras.Model) -> list[tuple[str, Any]]:
    """The optimizers that a model's own class keeps beside the one that it was compiled with, by attribute."""
    found = sorted(
        (name, value) for name, value in vars(model).items() if isinstance(value, keras.optimizers.Optimizer)
    )
    return [(name, value) for name, value in found if value is not model.optimizer]


def named_variables(model: keras.Model, *, inside_epoch: bool) -> list[tuple[str, Any]]:
    """The variables that a resume point holds, each with a name; `inside_epoch` with those of the metrics."""
    named = [(f"model:{index}", variable) for index, variable in enumerate(model.variables)]
    named += [(f"optimizer:{index}", variable) for index, variable in enumerate(model.optimizer.variables)]
    for attribute, optimizer in own_optimizers(model):
        named += [(f"{attribute}:{index}", variable) for index, variable in enumerate(optimizer.variables)]
    if inside_epoch:
        named += [(f"metric:{index}", variable) for index, variable in enumerate(model.metrics_variables)]
    return named


def _saved_variables(model: keras.Model, *, inside_epoch: bool) -> Iterator[tuple[str, Any]]:
    """The same; of a variable whose value may differ between the devices of a run, each device's."""
    for name, variable in named_variables(model, inside_epoch=inside_epoch):
        if isinstance(variable.value, tf.distribute.DistributedValues) and _may_differ(name, variable):
            yield from ((f"{name}@{device}", one) for device, one in enumerate(variable.value.values))
        else:
            yield name, variable


def _may_differ(name: str, variable: Any) -> bool:
    """Metrics are added up when they are read; a batch normalization's statistics are never brought together.

    What the optimizer changes is the same on every device, since all apply the same gradients.
    """
    is_own = not variable.trainable and variable.value.aggregation == tf.VariableAggregation.NONE
    is_added_up = variable.value.synchronization == tf.VariableSynchronization.ON_READ
    return bool(is_added_up or (is_own and name.startswith("model:")))
