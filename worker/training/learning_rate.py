"""The learning rate of a model's optimizer as a number."""

import keras


def read_learning_rate(model: keras.Model) -> float:
    """The rate at this moment, also where the variable that holds it is mirrored on several devices."""
    return float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))
