"""A tf.data pipeline that a script can build for each epoch, so that an interrupted job continues inside one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

_INFINITE = -1


@dataclass
class Passes:
    """The passes over a dataset: `build(number)` makes pass `number` (from 0); `begun` counts the passes begun.

    A training process of Fitstop finds this object as the attribute `fitstop_passes` of the dataset.
    """

    build: Callable[[int], Any]
    begun: int = 0

    def next(self) -> Iterator[Any]:
        """Yield the batches of the next pass. It counts before the last batch: Keras does not ask for more."""
        number = self.begun
        batches = iter(self.build(number))
        ahead = next(batches, None)
        for following in batches:
            yield ahead
            ahead = following
        self.begun = number + 1
        if ahead is not None:
            yield ahead


def dataset(build: Callable[[int], Any]) -> Any:
    """A tf.data.Dataset of batches for `fit`, `evaluate` or `validation_data`, built again for each pass over it.

    `build(epoch)` returns the tf.data.Dataset of one pass, which is numbered from 0; in a script with one call of
    `fit`, the number is that of the epoch. The same number must always give the same batches, so seed what it draws:
    `.shuffle(1000, seed=epoch)`. Then `fit` resumes exactly in a job of Fitstop, also inside an epoch. Outside Fitstop
    the batches are the same.

    Raises TypeError if `build(0)` does not return a tf.data.Dataset, and ValueError if that has no end.
    """
    # Imported only here: a user who builds a tf.data.Dataset has TensorFlow.
    import tensorflow as tf

    first = build(0)
    if not isinstance(first, tf.data.Dataset):
        raise TypeError(f"build(0) returned {type(first).__name__}, expected a tf.data.Dataset of batches")
    batches = int(first.cardinality())
    if batches == _INFINITE:
        raise ValueError("build(0) returned a dataset without end; end it by .take(steps), and leave out .repeat()")
    passes = Passes(build)
    made = tf.data.Dataset.from_generator(passes.next, output_signature=first.element_spec)
    if batches >= 0:
        made = made.apply(tf.data.experimental.assert_cardinality(batches))
    made.fitstop_passes = passes
    return made
