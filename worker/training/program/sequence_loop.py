"""Trains on a PyDataset of a script: takes its batches by number, in an order that a resumed run repeats.

Batch number i must be the same each time it is read, until `on_epoch_end` changes it. A resumed run calls
`on_epoch_end` for each epoch before its position, as the first run did.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf

# Private names, pinned by a test: Keras's own code gets the batches, and their shapes and types.
from keras.src.trainers.data_adapters import data_adapter_utils, get_data_adapter

from worker.training.callbacks import Callbacks
from worker.training.engine.stock import EachBatch, skip_done_batches
from worker.training.fit_settings import FitSettings
from worker.training.resume.point import Place

_PROBED = 2


def find_sequence(arguments: Mapping[str, Any]) -> Any:
    """The PyDataset of a call of `fit`, if its batches can be taken by number; else None.

    They cannot if the dataset has several workers or no end, or the call has class weights or numbers of steps.
    """
    x = arguments["x"]
    if not isinstance(x, keras.utils.PyDataset) or x.workers > 1 or x.num_batches is None:
        return None
    special = (arguments["class_weight"], arguments["steps_per_epoch"], arguments["validation_steps"])
    is_plain = special == (None, None, None) and arguments["validation_freq"] == 1
    return x if is_plain and isinstance(arguments["shuffle"], bool) else None


def first_batch(arguments: Mapping[str, Any]) -> Any:
    """The first training batch of a call of `fit`, in the form that a Keras step takes; None if there is none."""
    x = arguments["x"]
    if isinstance(x, keras.utils.PyDataset):
        batch = x[0]
    else:
        names = ("x", "y", "sample_weight", "batch_size", "class_weight")
        adapter = get_data_adapter(**{name: arguments[name] for name in names})
        batch = next(iter(adapter.get_tf_dataset()), None)
    return tuple(batch) if isinstance(batch, list) else batch


class SequenceLoop:
    """Keras's own training function over the batches of a PyDataset, one after the other."""

    def __init__(
        self,
        fit: Callable[..., Any],
        model: keras.Model,
        arguments: Mapping[str, Any],
        settings: FitSettings,
        place: Place,
    ) -> None:
        """Call `on_epoch_end` for each epoch before `place`, where the run resumes."""
        self._fit = fit
        self._model = model
        self._arguments = arguments
        self._settings = settings
        self._sequence = arguments["x"]
        validation = arguments["validation_data"]
        for _ in range(settings.first_epoch, place.epoch):
            self._sequence.on_epoch_end()
            if isinstance(validation, keras.utils.PyDataset):
                validation.on_epoch_end()

    def fit(self, callbacks: Callbacks, epochs: int) -> None:
        """Train from the run's position until a callback stops it or `epochs` have finished."""
        place, model = callbacks.resume.place, self._model
        model.jit_compile = False
        model.make_train_function(force=True)
        model.train_function = skip_done_batches(model, place)
        self._fit(
            model,
            self._batches(place),
            steps_per_epoch=len(self._sequence),
            initial_epoch=place.epoch,
            epochs=epochs,
            validation_data=self._validation(),
            validation_batch_size=self._arguments["validation_batch_size"],
            callbacks=[*callbacks.in_order, EachBatch(callbacks)],
            shuffle=False,
            verbose=0,
        )

    def _batches(self, place: Place) -> Any:
        return tf.data.Dataset.from_generator(lambda: self._in_order(place), output_signature=_specs(self._sequence))

    def _validation(self) -> Any:
        """The validation data; a PyDataset is also read by the numbers of its batches."""
        given = self._arguments["validation_data"]
        if not isinstance(given, keras.utils.PyDataset) or given.num_batches is None:
            return given
        batches = _Validations(given)
        data = tf.data.Dataset.from_generator(batches.next, output_signature=_specs(given))
        return data.apply(tf.data.experimental.assert_cardinality(len(given)))

    def _in_order(self, place: Place) -> Iterator[Any]:
        for epoch in range(place.epoch, self._settings.epochs):
            done = place.step if epoch == place.epoch else 0
            for number in self._settings.order(epoch, len(self._sequence))[done:]:
                yield self._sequence[int(number)]
            # Not in a callback: batches are prefetched, and those of the next epoch must be made after this call.
            self._sequence.on_epoch_end()


class _Validations:
    """The validation passes of a run. Calls `on_epoch_end` of the data between two of them."""

    def __init__(self, sequence: Any) -> None:
        self._sequence = sequence
        self._has_begun = False

    def next(self) -> Iterator[Any]:
        """Yield the batches of the next validation."""
        if self._has_begun:
            self._sequence.on_epoch_end()
        self._has_begun = True
        for number in range(len(self._sequence)):
            yield self._sequence[number]


def _specs(sequence: Any) -> Any:
    """The shapes and types of the batches, from the first ones."""
    first = [sequence[number] for number in range(min(_PROBED, len(sequence)))]
    return data_adapter_utils.get_tensor_spec(first)
