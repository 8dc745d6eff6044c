"""The model of a spec: a dense network whose last layer, loss and metrics follow from the target."""

import keras

from shared.events import Event
from shared.job import JobRecord
from shared.spec import Hyperparameters, Metric
from shared.task import TaskKind
from worker.training.data.table import Data

_OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "nadam": keras.optimizers.Nadam,
    "sgd": keras.optimizers.SGD,
    "rmsprop": keras.optimizers.RMSprop,
    "adagrad": keras.optimizers.Adagrad,
}
_METRICS = {
    "precision": keras.metrics.Precision,
    "recall": keras.metrics.Recall,
    "auc": keras.metrics.AUC,
    "mae": keras.metrics.MeanAbsoluteError,
    "mse": keras.metrics.MeanSquaredError,
    "rmse": keras.metrics.RootMeanSquaredError,
    "r2": keras.metrics.R2Score,
}


def build_model(record: JobRecord, data: Data) -> keras.Model:
    """The compiled model, its first weights drawn from the spec's seed.

    Sets Python's, numpy's and Keras's seed, and Keras's dtype policy.
    """
    spec = record.spec
    keras.utils.set_random_seed(spec.hyperparameters.seed)
    keras.config.set_dtype_policy(spec.hyperparameters.precision)
    model = keras.Sequential([keras.Input((data.features,))], name="dense")
    for units in spec.model.layers:
        model.add(keras.layers.Dense(units, activation=spec.model.activation))
        if spec.model.batch_normalization:
            model.add(keras.layers.BatchNormalization())
        if spec.model.dropout:
            model.add(keras.layers.Dropout(spec.model.dropout))
    model.add(_output(record.task.kind, data))
    model.compile(
        optimizer=_optimizer(spec.hyperparameters),
        loss=spec.hyperparameters.loss,
        metrics=[_metric(name, record.task.kind) for name in spec.hyperparameters.chosen_metrics],
        # The engine compiles; a saved model stays a plain one.
        jit_compile=False,
    )
    return model


def describe(model: keras.Model) -> Event:
    """The event that says what is trained."""
    widths = [layer.units for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    parameters = model.count_params()
    message = f"dense network {' → '.join(map(str, [model.input_shape[-1], *widths]))}, {parameters} parameters"
    return Event("model", message, {"parameters": parameters, "layers": widths})


def _output(task: TaskKind, data: Data) -> keras.layers.Layer:
    """The last layer, in float32 also where the others compute with fewer bits: the loss needs them."""
    if task == "binary":
        return keras.layers.Dense(1, activation="sigmoid", dtype="float32")
    if task == "multiclass":
        return keras.layers.Dense(len(data.classes or ()), activation="softmax", dtype="float32")
    return keras.layers.Dense(1, dtype="float32")


def _optimizer(spec: Hyperparameters) -> keras.optimizers.Optimizer:
    return _OPTIMIZERS[spec.optimizer](learning_rate=spec.learning_rate)


def _metric(name: Metric, task: TaskKind) -> keras.metrics.Metric:
    if name == "accuracy":
        binary = task == "binary"
        kind = keras.metrics.BinaryAccuracy if binary else keras.metrics.SparseCategoricalAccuracy
        return kind(name=name)
    return _METRICS[name](name=name)
