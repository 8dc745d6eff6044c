"""Keras's callback objects become the spec's callbacks, or are refused by name."""

import json

import keras
import pytest

from fitstop.errors import CannotSend
from fitstop.fitting.callbacks import read_callbacks
from fitstop.fitting.problems import Problems
from fitstop.metric_names import Names
from shared.spec import Callbacks

NAMES = Names({"loss": "loss", "acc": "accuracy", "mean_absolute_error": "mae"})


def read(*callbacks):
    problems = Problems()
    found = read_callbacks(list(callbacks), NAMES, problems)
    problems.stop()
    Callbacks.model_validate_json(json.dumps(found))
    return found


def test_the_articles_four_callbacks_keep_every_argument():
    found = read(
        keras.callbacks.ModelCheckpoint(
            "m/model-{epoch:02d}-{val_acc:.2f}.keras", monitor="val_acc", mode="max", save_best_only=True
        ),
        keras.callbacks.ReduceLROnPlateau(
            monitor="val_loss", factor=0.5, patience=4, min_delta=0.01, cooldown=2, min_lr=1e-5
        ),
        keras.callbacks.EarlyStopping(monitor="val_acc", min_delta=0.001, patience=7, start_from_epoch=3),
        keras.callbacks.CSVLogger("m/log.csv", separator=";"),
    )  # fmt: skip
    assert found == {
        "model_checkpoint": {
            "monitor": "val_accuracy", "mode": "max", "save_best_only": True,
            "filename": "model-{epoch:02d}-{val_accuracy:.2f}", "format": "keras",
        },
        "reduce_lr_on_plateau": {
            "monitor": "val_loss", "mode": "auto", "factor": 0.5, "patience": 4, "min_delta": 0.01, "cooldown": 2,
            "min_lr": 1e-5,
        },
        "early_stopping": {
            "monitor": "val_accuracy", "mode": "auto", "min_delta": 0.001, "patience": 7, "start_from_epoch": 3,
        },
        "csv_logger": {"separator": ";"},
    }  # fmt: skip


def test_a_callback_that_is_not_given_is_off_and_the_best_model_is_kept_all_the_same():
    found = read()
    assert (found["reduce_lr_on_plateau"], found["early_stopping"], found["csv_logger"]) == (None, None, None)
    assert found["model_checkpoint"] == {"monitor": "val_loss", "mode": "auto", "save_best_only": True, "keep": 1}
    stopping = keras.callbacks.EarlyStopping(monitor="val_acc", mode="max", restore_best_weights=True)
    kept = read(stopping)["model_checkpoint"]
    assert (kept["monitor"], kept["mode"]) == ("val_accuracy", "max")


def test_a_patience_of_0_acts_in_keras_as_one_of_1():
    assert read(keras.callbacks.EarlyStopping(patience=0))["early_stopping"]["patience"] == 1


def test_callbacks_that_were_used_before_are_read_as_they_were_made():
    stopping = keras.callbacks.EarlyStopping(monitor="val_loss", min_delta=0.5)
    # Keras does this when a fit begins, if less is better.
    stopping.min_delta *= -1
    assert read(stopping)["early_stopping"]["min_delta"] == 0.5


@pytest.mark.parametrize(
    ("filepath", "filename", "form", "keep"),
    [
        ("best.keras", "best", "keras", 1),
        ("a/b/best model.h5", "auto", "h5", 1),
        ("{epoch}-{mean_absolute_error:.3f}.h5", "{epoch}-{mae:.3f}", "h5", None),
        ("w-{epoch:03d}.weights.h5", "w-{epoch:03d}", "keras", None),
    ],
)
def test_the_file_name_of_a_checkpoint_is_its_template(filepath, filename, form, keep):
    is_weights = filepath.endswith(".weights.h5")
    found = read(keras.callbacks.ModelCheckpoint(filepath, save_weights_only=is_weights))["model_checkpoint"]
    assert (found["filename"], found["format"], found.get("keep")) == (filename, form, keep)


class Own(keras.callbacks.Callback):
    pass


class EarlyStopping(keras.callbacks.EarlyStopping):
    """A class with the same name, which may follow another rule."""


@pytest.mark.parametrize(
    ("callback", "says"),
    [
        (Own, "Own is not one of Keras's own"),
        (EarlyStopping, "EarlyStopping is not one of Keras's own"),
        (lambda: keras.callbacks.LearningRateScheduler(lambda epoch: 0.1), "LearningRateScheduler is not one of"),
        (lambda: keras.callbacks.EarlyStopping(baseline=0.5), "baseline=0.5"),
        (lambda: keras.callbacks.EarlyStopping(monitor="val_auc"), '"val_auc", which this model does not log'),
        (lambda: keras.callbacks.ModelCheckpoint("a.keras", save_freq=100), "save_freq=100"),
        (lambda: keras.callbacks.ModelCheckpoint("a.keras", initial_value_threshold=0.5), "threshold=0.5"),
        (lambda: keras.callbacks.CSVLogger("a.csv", append=True), "append=True"),
    ],
)  # fmt: skip
def test_what_cannot_be_sent_is_named(callback, says):
    with pytest.raises(CannotSend) as told:
        read(callback())
    (problem,) = told.value.problems
    assert says in problem


def test_two_of_a_kind_are_named_and_those_that_do_nothing_pass():
    with pytest.raises(CannotSend, match="two callbacks of the kind EarlyStopping"):
        read(keras.callbacks.EarlyStopping(), keras.callbacks.EarlyStopping())
    read(keras.callbacks.TerminateOnNaN(), keras.callbacks.History())
