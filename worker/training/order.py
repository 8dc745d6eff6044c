"""Which rows make which batch: the same for every engine, from (seed, epoch) alone.

An attempt that resumes at epoch n sees the batches that the attempt before it would have seen. Keras's own shuffling,
once seeded, draws the same permutation in every epoch.
"""

import numpy as np
import numpy.typing as npt

# Numbers that a validation batch holds in the widest layer, about, and never more rows than this.
_VALIDATION_NUMBERS = 16_000_000
_MOST_VALIDATION_ROWS = 8192


def permutation(seed: int, epoch: int, rows: int) -> npt.NDArray[np.int32]:
    """The order of the training rows in an epoch (from 0): int32 of shape (rows,), by numpy's Philox generator."""
    order: npt.NDArray[np.int32] = (
        np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(rows).astype("i4")
    )
    return order


def validation_batch(rows: int, batch_size: int, widest_layer: int) -> int:
    """How many rows are validated at once.

    Validation only adds up: larger batches give the same values to 1e-7 in a fraction of the steps.
    """
    fitting = _VALIDATION_NUMBERS // max(1, widest_layer)
    return min(rows, max(batch_size, min(fitting, _MOST_VALIDATION_ROWS)))
