"""What the fork server imports once, so that each training child starts with it.

A process that has used TensorFlow or a GPU cannot be forked, because the child hangs. So both are only imported here.
The fork server has a single thread, with OPENBLAS_NUM_THREADS=1.

A small table is prepared once, because scikit-learn and skops import and look up a lot at first use. This draws no
random numbers.
"""

# Must be first: it searches all loaded modules for each of scikit-learn's types, two seconds after TensorFlow.
import skops.io  # isort: skip

import keras
import numpy as np
import pandas as pd
import pyarrow.dataset
import tensorflow as tf

import worker.training.__main__
import worker.training.run
from worker.ipc.die_with_parent import die_with_parent
from worker.training import prepare

__all__ = ["keras", "pyarrow", "skops", "tf", "worker"]


def prepare_table() -> None:
    """Fit, apply and dump the preparation of a table, as each job with a table does."""
    rows = pd.DataFrame({"number": np.arange(4.0), "text": np.array(["a", "b", "a", "b"], object)})
    inputs = (prepare.Input("number", "float", "number"), prepare.Input("text", "text", "one_hot"))
    preparation, _ = prepare.fit(rows, np.arange(4.0), prepare.Schema(inputs))
    preparation.transform(rows)
    skops.io.dumps(preparation.steps)


die_with_parent()
prepare_table()
