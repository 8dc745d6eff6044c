"""What a model was compiled with becomes the spec's hyperparameters, or is refused by name."""

import json
from typing import get_args

import keras
import numpy as np
import pytest
from keras.losses import BinaryCrossentropy
from keras.metrics import AUC, BinaryAccuracy, Precision, Recall
from keras.optimizers import SGD, Adam, AdamW, Lion, RMSprop

from fitstop.errors import CannotSend
from fitstop.fitting.compiled import LOSSES, OPTIMIZERS, read_compiled, short_float
from fitstop.fitting.problems import Problems
from fitstop.metric_names import FIELD, Names, equivalent_metric, names_of
from shared.spec import Hyperparameters
from shared.spec.hyperparameters import Metric
from shared.spec.loss import LossName
from shared.spec.optimizer import OptimizerName


def model(outputs=1):
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(outputs, activation="sigmoid")])


def compiled(optimizer="adam", loss="binary_crossentropy", metrics=None, outputs=1, **more):
    """Compile a model this way and return what is read from it, with valid hyperparameters."""
    own = model(outputs)
    own.compile(optimizer, loss, metrics=metrics, **more)
    problems = Problems()
    found = read_compiled(own, problems)
    problems.stop()
    Hyperparameters.model_validate_json(json.dumps(found.hyperparameters))
    return found


def refused(**arguments):
    with pytest.raises(CannotSend) as told:
        compiled(**arguments)
    return told.value.problems


def test_the_names_are_those_of_the_spec():
    assert set(get_args(OptimizerName)) == OPTIMIZERS
    assert set(get_args(LossName)) == LOSSES
    assert {equivalent_metric(name) for name in get_args(Metric)} - {None} <= set(get_args(Metric))


@pytest.mark.parametrize(
    ("optimizer", "sent", "rate"),
    [
        ("adam", "adam", 0.001),
        ("rmsprop", "rmsprop", 0.001),
        (SGD(0.1, momentum=0.9, nesterov=True), {"name": "sgd", "momentum": 0.9, "nesterov": True}, 0.1),
        (Adam(3e-4, beta_1=0.8, clipnorm=1.0), {"name": "adam", "beta_1": 0.8, "clipnorm": 1.0}, 3e-4),
        (AdamW(), "adamw", 0.001),
        (AdamW(weight_decay=0.01), {"name": "adamw", "weight_decay": 0.01}, 0.001),
        (RMSprop(centered=True), {"name": "rmsprop", "centered": True}, 0.001),
        (Lion(), "lion", 0.001),
    ],
)
def test_an_optimizer_is_sent_with_what_differs_from_kerass_defaults(optimizer, sent, rate):
    found = compiled(optimizer).hyperparameters
    assert (found["optimizer"], found["learning_rate"]) == (sent, rate)


def test_a_learning_rate_that_was_changed_after_compiling_is_the_one_that_is_sent():
    own = model()
    own.compile("adam", "mse")
    own.optimizer.learning_rate = 0.0123
    assert read_compiled(own, Problems()).hyperparameters["learning_rate"] == 0.0123


@pytest.mark.parametrize("value", [0.1, 1e-12, 1 / 3, 123456.789, 3e-4])
def test_a_rate_is_the_shortest_number_that_is_the_same_32_bit_float(value):
    stored = float(np.float32(value))
    assert np.float32(short_float(stored)) == np.float32(value)
    assert len(repr(short_float(stored))) <= len(repr(stored))


@pytest.mark.parametrize(
    ("loss", "outputs", "sent"),
    [
        ("mse", 1, "mean_squared_error"),
        ("BinaryCrossentropy", 1, "binary_crossentropy"),
        (keras.losses.mean_absolute_error, 1, "mean_absolute_error"),
        (keras.losses.LogCosh(), 1, "log_cosh"),
        (keras.losses.Huber(), 1, "huber"),
        (keras.losses.Huber(2.0), 1, {"name": "huber", "delta": 2.0}),
        (BinaryCrossentropy(from_logits=True), 1, {"name": "binary_crossentropy", "from_logits": True}),
        (
            keras.losses.CategoricalCrossentropy(label_smoothing=0.1), 3,
            {"name": "categorical_crossentropy", "label_smoothing": 0.1},
        ),
        (
            keras.losses.BinaryFocalCrossentropy(gamma=3.0), 1,
            {"name": "binary_focal_crossentropy", "gamma": 3.0},
        ),
        (["mse"], 1, "mean_squared_error"),
    ],
)  # fmt: skip
def test_a_loss_is_sent_by_its_name_with_its_arguments(loss, outputs, sent):
    assert compiled(loss=loss, outputs=outputs).hyperparameters["loss"] == sent


@pytest.mark.parametrize(
    ("metrics", "names", "sent"),
    [
        (["accuracy"], ["accuracy"], ["accuracy"]),
        (["acc", "mae"], ["acc", "mae"], ["accuracy", "mae"]),
        ([Precision(name="p"), Recall(name="sensitivity")], ["p", "sensitivity"], ["precision", "recall"]),
        ([AUC(name="auc")], ["auc"], ["auc"]),
        ([BinaryAccuracy(name="b"), "accuracy"], ["b", "accuracy"], ["accuracy"]),
        ([keras.metrics.F1Score(average="micro", threshold=0.5, name="f")], ["f"], ["f1"]),
        ([keras.metrics.SparseTopKCategoricalAccuracy(name="top")], ["top"], ["top_5_accuracy"]),
        ([keras.metrics.R2Score(name="r2_score")], ["r2_score"], ["r2"]),
        ([keras.metrics.mean_absolute_error], ["mean_absolute_error"], ["mae"]),
        (None, [], []),
    ],
)
def test_metrics_are_sent_by_fitstops_names_and_remembered_by_kerass(metrics, names, sent):
    found = compiled(loss="mse", metrics=metrics)
    assert found.hyperparameters["metrics"] == sent
    assert list(found.names.pairs) == ["loss", *names]


def test_history_and_monitors_have_the_names_that_keras_uses(tmp_path):
    own = model()
    own.compile("sgd", "binary_crossentropy", metrics=["acc", "mae", keras.metrics.Precision(name="p")])
    x, y = np.zeros((8, 3)), np.array([0, 1] * 4)
    of_keras = own.fit(x, y, validation_data=(x, y), verbose=0).history
    names = read_compiled(own, Problems()).names
    row = {f"{part}{name}": 0.5 for part in ("", "val_") for name in ("loss", "accuracy", "mae", "precision")}
    assert set(names.history([{"metrics": row}])) == set(of_keras)
    assert names.logged("val_acc") == names.logged("val_accuracy") == "val_accuracy"
    assert (names.logged("p"), names.logged("val_mean_absolute_error")) == ("precision", "val_mae")
    assert names.logged("val_auc") is None


def test_a_job_remembers_the_names():
    names = Names({"loss": "loss", "acc": "accuracy", "accuracy": "accuracy", "mae": "mae"})
    spec = {"hyperparameters": {"metrics": ["accuracy", "mae"]}, "metadata": names.as_metadata()}
    assert dict(names_of(spec).pairs) == dict(names.pairs)
    plain = Names({"loss": "loss", "mae": "mae"})
    assert plain.as_metadata() == {}
    assert dict(names_of({"hyperparameters": {"metrics": ["mae"]}}).pairs) == dict(plain.pairs)
    broken = {**spec, "metadata": {FIELD: "{"}}
    assert list(names_of(broken).pairs) == ["loss", "accuracy", "mae"]


def own_loss(y_true, y_pred):
    return keras.ops.mean(y_true - y_pred)


class OwnMetric(keras.metrics.Metric):
    def update_state(self, *_, **__):
        pass

    def result(self):
        return 0.0


class OwnOptimizer(keras.optimizers.SGD):
    pass


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"optimizer": SGD(keras.optimizers.schedules.CosineDecay(0.1, 100))}, "CosineDecay"),
        ({"optimizer": OwnOptimizer()}, "OwnOptimizer"),
        ({"optimizer": keras.optimizers.Ftrl()}, "Ftrl"),
        ({"optimizer": Adam(use_ema=True)}, "use_ema=True"),
        ({"loss": own_loss}, "own_loss"),
        ({"loss": "hinge"}, "hinge"),
        ({"loss": keras.losses.MeanSquaredError(reduction="sum")}, "reduction='sum'"),
        ({"metrics": [own_loss]}, "own_loss"),
        ({"metrics": [OwnMetric()]}, "OwnMetric"),
        ({"metrics": [BinaryAccuracy(threshold=0.9)]}, "threshold=0.9"),
        ({"metrics": [AUC(curve="PR")]}, "curve='PR'"),
        ({"metrics": ["cosine_similarity"]}, "cosine_similarity"),
        ({"loss_weights": [2.0]}, "loss_weights"),
        ({"weighted_metrics": ["accuracy"]}, "weighted_metrics"),
    ],
)
def test_what_cannot_be_sent_is_named(arguments, says):
    (problem,) = refused(**arguments)
    assert says in problem


def test_everything_is_named_at_once():
    problems = refused(optimizer=OwnOptimizer(), loss=own_loss, metrics=[OwnMetric(), "hinge"])
    assert len(problems) == 4


def test_a_model_that_is_not_compiled_is_named():
    problems = Problems()
    read_compiled(model(), problems)
    with pytest.raises(CannotSend, match=r"call model.compile\(\) first"):
        problems.stop()
