"""A tf.data dataset that the script builds for each epoch (`fitstop.dataset`): a resumed run gets the same batches.

Keras's own `fit` iterates over the epochs, and its own training function reads the batches directly from the dataset.
The dataset of an epoch is built when its first batch is needed. An interrupted epoch skips its finished batches.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

# A private name: class weights are put into the batches by Keras's own code. A test pins it.
from keras.src.trainers.data_adapters.tf_dataset_adapter import TFDatasetAdapter

from worker.training.callbacks import Callbacks
from worker.training.engine.epoch_number import EpochNumber
from worker.training.engine.fused import Placeholder
from worker.training.engine.stock import EachBatch, skip_done_batches
from worker.training.fit_settings import FitSettings
from worker.training.resume.point import Place

# More batches than any epoch has. If the number is unknown, the end of the data ends the epoch.
_UNKNOWN = 2**40


class Passes(Protocol):
    """The passes over a dataset of `fitstop.dataset`. `build(number)` builds one; `begun` is the number begun."""

    build: Callable[[int], Any]
    begun: int


def passes_of(data: Any) -> Passes | None:
    """The passes of a dataset that `fitstop.dataset` made; None for other objects."""
    return getattr(data, "fitstop_passes", None)


def find_built(arguments: Mapping[str, Any]) -> Passes | None:
    """The passes over the training data of a call of `fit`, if the call can be resumed with them; else None."""
    usual = (arguments["steps_per_epoch"], arguments["validation_steps"], arguments["validation_freq"])
    return passes_of(arguments["x"]) if usual == (None, None, 1) else None


def count_batches(data: Any) -> int | None:
    """The number of batches of a tf.data dataset; None if it is not known in advance."""
    batches = int(data.cardinality())
    return batches if batches >= 0 else None


def read_first_batch(passes: Passes) -> Any:
    """The first batch of the next pass; None if it has none."""
    return next(iter(passes.build(passes.begun)), None)


def digest(batch: Any) -> str:
    """A hash of a batch, which may be any nested structure of tensors."""
    found = hashlib.blake2b(digest_size=16)
    for leaf in tf.nest.flatten(batch, expand_composites=True):
        array = np.asarray(leaf)
        found.update(f"{array.dtype} {array.shape}\n".encode())
        found.update(repr(array.tolist()).encode() if array.dtype.hasobject else np.ascontiguousarray(array).data)
    return found.hexdigest()


def find_differing_batches(arguments: Mapping[str, Any]) -> list[str]:
    """Why the tf.data datasets of a call of `fit` do not give the same batches twice; empty if they seem to."""
    found = (_explain_difference(name, arguments[name]) for name in ("x", "validation_data"))
    return [reason for reason in found if reason]


def _explain_difference(name: str, data: Any) -> str:
    if not isinstance(data, tf.data.Dataset):
        return ""
    passes = passes_of(data)
    one, other = (data, data) if passes is None else (passes.build(passes.begun), passes.build(passes.begun))
    if one.options().deterministic is False:
        return f"{name} is not a deterministic dataset, by its options"
    if digest(next(iter(one), None)) == digest(next(iter(other), None)):
        return ""
    if passes is None:
        return f"{name} gives different batches in each pass; use fitstop.dataset(build)"
    return f"{name}: build({passes.begun}) gave two different first batches; seed what it draws by the epoch"


def advise_exact_resume(arguments: Mapping[str, Any]) -> str:
    """Advice for a script whose tf.data datasets do not resume exactly, after a semicolon; empty for other data."""
    x, validation = arguments["x"], arguments["validation_data"]
    if passes_of(x) is not None:
        return "; omit steps_per_epoch, validation_steps and validation_freq"
    if isinstance(x, tf.data.Dataset):
        return "; give fit fitstop.dataset(build), where build(epoch) creates the dataset of an epoch"
    return "; give validation_data as arrays" if isinstance(validation, tf.data.Dataset) else ""


class CountedPasses:
    """The number of passes that a call of `fit` has started over its datasets, as part of the run's state."""

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        found = {name: passes_of(arguments[name]) for name in ("x", "validation_data")}
        self._counted = {name: passes for name, passes in found.items() if passes is not None}

    def state(self) -> dict[str, Any]:
        """The counts, by the names of the arguments of `fit`."""
        return {name: one.begun for name, one in self._counted.items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore the counts."""
        for name, one in self._counted.items():
            one.begun = int(state[name])


class BuiltDatasets:
    """An engine that runs Keras's own training function on the dataset that the script builds for each epoch."""

    def __init__(
        self, fit: Callable[..., Any], model: keras.Model, arguments: Mapping[str, Any], settings: FitSettings
    ) -> None:
        self._fit = fit
        self._model = model
        self._arguments = arguments
        self._settings = settings
        self._epoch = EpochNumber()

    def fit(self, callbacks: Callbacks, epochs: int) -> None:
        """Train from the run's position until a callback stops it or `epochs` have finished."""
        place, model, asked = callbacks.resume.place, self._model, self._arguments
        model.jit_compile = False
        model.make_train_function(force=True)
        model.make_test_function(force=True)
        model.train_function = self._over_epochs(
            skip_done_batches(model, place), asked["x"], place, asked["class_weight"]
        )
        validation = asked["validation_data"]
        if passes_of(validation) is not None:
            model.test_function = self._over_epochs(model.test_function, validation, Place(0, 0))
            validation = Placeholder(count_batches(validation) or _UNKNOWN)
        self._fit(
            model,
            Placeholder(count_batches(asked["x"]) or _UNKNOWN),
            initial_epoch=place.epoch,
            epochs=epochs,
            validation_data=validation,
            validation_batch_size=asked["validation_batch_size"],
            callbacks=[self._epoch, *callbacks.in_order, EachBatch(callbacks)],
            shuffle=False,
            verbose=0,
        )

    def _over_epochs(
        self, function: Callable[[Any], Any], data: Any, place: Place, class_weight: Any = None
    ) -> Callable[[Any], Any]:
        """Wrap Keras's `function` of an iterator: if it gets the placeholder, it reads the epoch's batches instead."""
        passes = passes_of(data)
        assert passes is not None
        first, begun, batches = passes.begun - self._settings.first_epoch, -1, None

        def over_epochs(iterator: Any) -> Any:
            nonlocal begun, batches
            if not isinstance(iterator, Placeholder):
                return function(iterator)  # a callback evaluates something else
            if begun != self._epoch.number:
                begun = self._epoch.number
                built = TFDatasetAdapter(passes.build(first + begun), class_weight).get_tf_dataset()
                passes.begun = first + begun + 1
                batches = iter(built.skip(place.step) if begun == place.epoch else built)
            return function(batches)

        return over_epochs
