"""Predicts the rows of one part: all of them, or a random sample if they are too many or take too long."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from worker.training.data.rows import Part

MOST_SECONDS = 120.0
MOST_ROWS = 1_000_000
# Maximum number of outputs in memory: 200 MB.
_MOST_NUMBERS = 50_000_000


@dataclass(frozen=True)
class Predicted:
    """`outputs`, float32 of shape (rows, outputs), for the rows of the part with the numbers `rows`, in order."""

    rows: npt.NDArray[np.int64]
    outputs: npt.NDArray[np.float32]


def predict(model: keras.Model, outputs: int, part: Part, batch_size: int, keep_alive: Callable[[], None]) -> Predicted:
    """Predict batch after batch, for a maximum of MOST_SECONDS and MOST_ROWS. `outputs`: values predicted for a row.

    `keep_alive` is called between two batches, and may raise to stop. A sample consists of whole batches in a random
    order, which is always the same. Raises ValueError if an output is not finite.
    """
    most_batches = max(1, min(MOST_ROWS, _MOST_NUMBERS // outputs) // batch_size)
    order = np.random.default_rng(0).permutation(ceil(len(part) / batch_size))[:most_batches]
    step = partial(model, training=False)
    if not model.run_eagerly:
        step = tf.function(step, autograph=False, reduce_retracing=True)
    found: dict[int, npt.NDArray[np.float32]] = {}
    began = time.monotonic()
    for number in order.tolist():
        keep_alive()
        found[number] = _predict_batch(step, part, number * batch_size, batch_size)
        if time.monotonic() - began > MOST_SECONDS:
            break
    return _join(found, batch_size)


def _predict_batch(step: Callable[[Any], Any], part: Part, start: int, size: int) -> npt.NDArray[np.float32]:
    taken = part.take(slice(start, start + size))
    x, *_ = part.batch([tf.constant(one) for one in taken])
    return np.asarray(step(x).numpy(), np.float32).reshape(len(taken[0]), -1)


def _join(found: dict[int, npt.NDArray[np.float32]], batch_size: int) -> Predicted:
    numbers = sorted(found)
    outputs = np.concatenate([found[number] for number in numbers])
    if not np.isfinite(outputs).all():
        raise ValueError("the model predicts numbers that are not finite")
    rows = [np.arange(len(found[number])) + number * batch_size for number in numbers]
    return Predicted(np.concatenate(rows), outputs)
