"""Plain Keras on the batches that Fitstop uses: what a script computes by itself with the same order of rows."""

from collections.abc import Callable, Iterator
from math import ceil
from typing import Any

import numpy as np
import tensorflow as tf

from worker.training.order import permutation
from worker.training.program import random_state


def stock_fit(own: Callable[..., Any]) -> Callable[..., Any]:
    """Keras's own `fit` (`own`) with its own training function, for the first call of `fit` in a script.

    Takes a matrix `x` and a number in `y` for each row, with `validation_split` or `validation_data`.
    """

    def fit(
        model: Any, x: Any, y: Any, *, epochs: int, batch_size: int, validation_split: float = 0.0, **more: Any
    ) -> Any:
        seed, rows = random_state.derive_seed(1), int(len(x) * (1 - validation_split))
        inputs, targets = np.asarray(x, np.float32), np.asarray(y)

        def batches() -> Iterator[Any]:
            for epoch in range(epochs):
                order = permutation(seed, epoch, rows)
                for start in range(0, rows, batch_size):
                    chosen = order[start : start + batch_size]
                    yield inputs[chosen], targets[chosen]

        specs = tf.TensorSpec((None, inputs.shape[1]), tf.float32), tf.TensorSpec((None,), targets.dtype)
        return own(
            model,
            tf.data.Dataset.from_generator(batches, output_signature=specs),
            steps_per_epoch=ceil(rows / batch_size),
            epochs=epochs,
            **{"validation_data": (inputs[rows:], targets[rows:]), **more},
            validation_batch_size=batch_size,
            shuffle=False,
            verbose=0,
        )

    return fit
