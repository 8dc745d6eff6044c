"""The order of the rows. It depends only on (seed, epoch), so it is the same for every engine.

An attempt that resumes at epoch n has the batches that the previous attempt would have had. Keras's own shuffling,
once seeded, draws the same permutation in every epoch.
"""

import numpy as np
import numpy.typing as npt

# Approximate number of outputs of the widest layer for a validation batch, and the batch's maximum number of rows.
_VALIDATION_NUMBERS = 16_000_000
_MOST_VALIDATION_ROWS = 8192


def permutation(seed: int, epoch: int, rows: int) -> npt.NDArray[np.int32]:
    """The order of the training rows in an epoch (from 0): int32 of shape (rows,), by numpy's Philox generator."""
    order: npt.NDArray[np.int32] = (
        np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(rows).astype("i4")
    )
    return order


def validation_batch(rows: int, batch_size: int, widest_layer: int) -> int:
    """The number of rows in a validation batch.

    Validation only sums over rows, so a larger batch gives the same values to 1e-7 with fewer steps.
    """
    fitting = _VALIDATION_NUMBERS // max(1, widest_layer)
    return min(rows, max(batch_size, min(fitting, _MOST_VALIDATION_ROWS)))
