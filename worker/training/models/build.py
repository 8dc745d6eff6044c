"""Builds and compiles the model of a job, of any kind."""

from functools import partial
from typing import Any

import keras

from shared.earlier_model import EarlierModel
from shared.events import Event
from shared.job import JobRecord
from shared.spec import CnnSpec, DenseSpec, EarlierJobSpec, Hyperparameters, KerasSpec, Metric
from shared.task import TaskKind
from worker.training.data.rows import Data
from worker.training.models.application import build_application
from worker.training.models.cnn import build_cnn
from worker.training.models.dense import build_dense
from worker.training.models.earlier_job import build_earlier_model
from worker.training.models.keras_json import build_keras

_OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "nadam": keras.optimizers.Nadam,
    "adamax": keras.optimizers.Adamax,
    "sgd": keras.optimizers.SGD,
    "rmsprop": keras.optimizers.RMSprop,
    "adagrad": keras.optimizers.Adagrad,
    "adadelta": keras.optimizers.Adadelta,
    "lion": keras.optimizers.Lion,
}
_LOSSES = {
    "binary_crossentropy": keras.losses.BinaryCrossentropy,
    "binary_focal_crossentropy": keras.losses.BinaryFocalCrossentropy,
    "sparse_categorical_crossentropy": keras.losses.SparseCategoricalCrossentropy,
    "categorical_crossentropy": keras.losses.CategoricalCrossentropy,
    "categorical_focal_crossentropy": keras.losses.CategoricalFocalCrossentropy,
    "huber": keras.losses.Huber,
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


def build_model(record: JobRecord, data: Data, earlier: EarlierModel | None = None) -> keras.Model:
    """Build and compile the model. Its initial weights are drawn with the spec's seed, or are those of `earlier`.

    Sets the seed of Python, numpy and Keras, and Keras's dtype policy. Raises BadData if a Keras model or an earlier
    job's model cannot be built or does not fit the data.
    """
    spec = record.data_spec.hyperparameters
    keras.utils.set_random_seed(spec.seed)
    keras.config.set_dtype_policy(spec.precision)
    model = _build(record, data, earlier)
    is_one_hot = data.train.targets.shape[1] > 1
    model.compile(
        optimizer=_optimizer(spec),
        loss=_loss(spec),
        metrics=[_metric(name, record.data_task.kind, is_one_hot=is_one_hot) for name in spec.chosen_metrics],
        # The engine decides about XLA. A saved model is compiled without it.
        jit_compile=False,
    )
    if data.train.is_mixed and record.data_task.kind == "binary":
        _count_larger_share(model)
    return model


def _build(record: JobRecord, data: Data, earlier: EarlierModel | None) -> keras.Model:
    spec = record.data_spec.model
    if isinstance(spec, EarlierJobSpec):
        assert earlier is not None, "found before the data was loaded"
        return build_earlier_model(spec, record, data, earlier, partial(_output, record.data_task.kind, data))
    if isinstance(spec, KerasSpec):
        return build_keras(spec, data)
    if isinstance(spec, DenseSpec):
        model = build_dense(spec, data)
        # Created last, as in all versions: a layer draws its seed at its creation. The seed decides the weights.
        model.add(_output(record.data_task.kind, data))
        return model
    output = _output(record.data_task.kind, data)
    if isinstance(spec, CnnSpec):
        return build_cnn(spec, data, output)
    return build_application(spec, data, output)


def _count_larger_share(model: keras.Model) -> None:
    """Make binary metrics count an image of mixup as the class with the larger share, as multi-class metrics do.

    Keras would compare the share, such as 0.7, with 0 and 1, so no prediction would be correct.
    """
    compute_metrics = model.compute_metrics

    def rounded(x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        return compute_metrics(x, keras.ops.round(y), y_pred, sample_weight)

    model.compute_metrics = rounded


def describe_model(model: keras.Model, record: JobRecord) -> Event:
    """The event that reports which model is trained, for all kinds except the model of an earlier job."""
    parameters, kind = model.count_params(), record.data_spec.model.kind
    facts = {"kind": kind, "parameters": parameters}
    if kind == "dense":
        widths = [layer.units for layer in model.layers if isinstance(layer, keras.layers.Dense)]
        message = f"dense network {' → '.join(map(str, [model.input_shape[-1], *widths]))}, {parameters} parameters"
        return Event("model", message, {**facts, "layers": widths})
    names = {"cnn": "convolutional network", "application": model.name, "keras": f'Keras model "{model.name}"'}
    return Event("model", f"{names[kind]}, {parameters} parameters", facts)


def _output(task: TaskKind, data: Data, name: str | None = None) -> keras.layers.Layer:
    """The output layer. Always float32, which the loss needs, even with mixed precision."""
    if task == "binary":
        return keras.layers.Dense(1, activation="sigmoid", dtype="float32", name=name)
    if task == "multiclass":
        return keras.layers.Dense(len(data.classes or ()), activation="softmax", dtype="float32", name=name)
    return keras.layers.Dense(data.train.targets.shape[1], dtype="float32", name=name)


def _optimizer(spec: Hyperparameters) -> keras.optimizers.Optimizer:
    chosen = spec.chosen_optimizer
    return _OPTIMIZERS[chosen.name](learning_rate=spec.learning_rate, **chosen.arguments)


def _loss(spec: Hyperparameters) -> keras.losses.Loss | str:
    """The loss; its name if it has no arguments, as in a model that a user compiles with a name."""
    chosen = spec.chosen_loss
    return _LOSSES[chosen.name](**chosen.arguments) if chosen.arguments else chosen.name


def _metric(name: Metric, task: TaskKind, *, is_one_hot: bool) -> keras.metrics.Metric:
    if name == "accuracy":
        several = keras.metrics.CategoricalAccuracy if is_one_hot else keras.metrics.SparseCategoricalAccuracy
        return (keras.metrics.BinaryAccuracy if task == "binary" else several)(name=name)
    if name == "top_5_accuracy":
        top = keras.metrics.TopKCategoricalAccuracy if is_one_hot else keras.metrics.SparseTopKCategoricalAccuracy
        return top(k=5, name=name)
    if name == "f1":
        return keras.metrics.F1Score(average="micro", threshold=0.5, name=name)
    return _METRICS[name](name=name)
