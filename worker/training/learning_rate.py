"""The learning rate of a model's optimizer as a number."""

import keras


def read_learning_rate(model: keras.Model) -> float:
    """The current rate, also if its variable is mirrored on several devices."""
    return float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))
