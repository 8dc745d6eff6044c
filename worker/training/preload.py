"""What the fork server imports once, so that a training child starts with all of it.

Importing is all that happens here: a process that has used TensorFlow cannot be forked (the child hangs), and one that
has touched a GPU cannot either. The fork server stays single-threaded, with OPENBLAS_NUM_THREADS=1.
"""

# First: it looks through every module that is there for each of scikit-learn's types, with TensorFlow for two seconds.
import skops.io  # isort: skip

import keras
import tensorflow as tf

import worker.training.__main__
import worker.training.run
from worker.ipc.die_with_parent import die_with_parent

__all__ = ["keras", "skops", "tf", "worker"]

die_with_parent()
