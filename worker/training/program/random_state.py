"""The random generators that a script draws from: Python's, NumPy's and Keras's own."""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

# A private name: the generator that `keras.random` draws from when it is given no seed. A test pins it.
from keras.src.backend.common import global_state
from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR, global_seed_generator

_SEED_BITS = 31


@contextmanager
def preserve_generators() -> Iterator[None]:
    """Restore the script's random generators at the end of the context."""
    before, of_numpy, of_keras = random.getstate(), np.random.get_state(), keras_state()
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_state(of_numpy)
        restore_keras(of_keras)


def keras_variables() -> list[Any]:
    """The variable of Keras's own generator; empty if it was never used."""
    generator = global_state.get_global_attribute(GLOBAL_SEED_GENERATOR)
    return [] if generator is None else [generator.state]


def keras_state() -> list[int] | None:
    """The state of Keras's own generator; None if it was never used."""
    generator = global_state.get_global_attribute(GLOBAL_SEED_GENERATOR)
    return None if generator is None else [int(one) for one in np.asarray(generator.state)]


def restore_keras(state: list[int] | None) -> None:
    """Restore Keras's own generator."""
    if state is None:
        global_state.set_global_attribute(GLOBAL_SEED_GENERATOR, None)
    else:
        global_seed_generator().state.assign(np.array(state, "uint32"))


def derive_seed(number: int) -> int:
    """A seed for call `number` of `fit`, from the state of the script's generators. Draws no random number."""
    state: Any = np.random.get_state()
    digest = hashlib.sha256(repr((number, random.getstate(), keras_state())).encode() + state[1].tobytes())
    return int.from_bytes(digest.digest()[:8], "little") % 2**_SEED_BITS
