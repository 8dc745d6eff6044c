"""The best model of a script, measured at its end on the rows that the script validated on."""

from typing import Any

import keras
import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, mean_absolute_error

from shared.evaluation import Evaluation, PartResult, read_evaluation
from shared.job import AttemptEnd
from shared.job_folder import JobFolder
from shared.manifest import Checkpoint, read_manifest
from shared.times import utc_now
from shared.volume import Volume
from tests.support.jobs import claim
from tests.support.played_scripts import SETTINGS, events_of, file_of, play_attempt, succeed
from tests.support.scripts import put_script_job
from worker.training.evaluation import NotMeasurable, Subject, measure_subject
from worker.training.evaluation.outputs import predict
from worker.training.program.arrays import read_data
from worker.training.program.calls import bind_arguments
from worker.training.program.made_model import MadeModel
from worker.training.program.prepared_script import prepare_script
from worker.training.run import run
from worker.training.stop_requests import StopRequests

pytestmark = pytest.mark.usefixtures("process_as_before")

DATA = """
import keras, numpy as np
keras.utils.set_random_seed(3)
rng = np.random.default_rng(3)
x = rng.normal(size=(90, 4)).astype("float32"); y = (x[:, 0] > 0).astype("float32")
classes = np.digitize(x[:, 1], [-0.5, 0.5])
def make(outputs, loss, activation=None, **compiled):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(outputs, activation=activation)])
    model.compile(keras.optimizers.Adam(0.05), loss, **compiled)
    return model
"""
CHECKPOINT = Checkpoint(name="a", epoch=1, bytes=1, sha256="0" * 64, saved_at=utc_now(), metrics={})
BINARY = DATA + "make(1, 'binary_crossentropy', 'sigmoid').fit(x, y, validation_split=0.5, epochs=4, verbose=0)\n"
TWO_INPUTS = (
    DATA
    + """
a, b = keras.Input((2,), name="a"), keras.Input((2,), name="b")
model = keras.Model({"a": a, "b": b}, keras.layers.Dense(3, "softmax")(keras.layers.Concatenate()([a, b])))
model.compile("adam", "sparse_categorical_crossentropy", run_eagerly=True)
model.fit({"a": x[:45, :2], "b": x[:45, 2:]}, classes[:45],
    validation_data=({"a": x[45:, :2], "b": x[45:, 2:]}, classes[45:], np.ones(45)), epochs=2, verbose=0)
import sys; sys.exit(0)
"""
)


def evaluated(volume: Volume, script: str) -> tuple[JobFolder, Evaluation]:
    job, _ = succeed(volume, script)
    found = read_evaluation(job.attempts()[-1])
    assert found is not None, events_of(job, "evaluation")
    return job, found


def best_outputs(job: JobFolder, x: Any) -> Any:
    attempt = job.attempts()[-1]
    best = read_manifest(attempt.manifest_file).best
    assert best is not None
    return np.asarray(keras.models.load_model(attempt.checkpoints / best)(x))


def names_of_data() -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(DATA, names)
    return names


@pytest.mark.parametrize("is_binary", [True, False])
def test_the_confusion_matrix_is_that_of_scikit_learn_on_the_same_rows(volume: Volume, is_binary: bool) -> None:
    job, found = evaluated(volume, BINARY if is_binary else TWO_INPUTS)
    data = names_of_data()
    x = data["x"][45:]
    outputs = best_outputs(job, x if is_binary else {"a": x[:, :2], "b": x[:, 2:]})
    chosen = outputs.ravel() > 0.5 if is_binary else outputs.argmax(axis=1)
    true = data["y" if is_binary else "classes"][45:]
    assert np.array_equal(found.validation.confusion, confusion_matrix(true, chosen))
    assert (found.task, found.validation.rows) == ("binary" if is_binary else "multiclass", 45)
    best = read_manifest(job.attempts()[-1].manifest_file).checkpoints[-1]
    assert (found.checkpoint, found.epoch) == (best.name, best.epoch)
    wrong = {one.row for one in found.validation.mistakes}
    assert wrong <= set(np.flatnonzero(true != chosen).tolist())
    assert bool(wrong) == bool((true != chosen).any())


def measure(model: str, y: str, weights: Any = None) -> tuple[Subject, PartResult]:
    """Measure a model, given as Python code, on all rows."""
    data = names_of_data()
    arguments = bind_arguments(keras.Model.fit, None, (data["x"],), {"y": eval(y, data), "sample_weight": weights})
    part = read_data(arguments).train
    subject = MadeModel(eval(model, data), CHECKPOINT, part, 30).subject()
    return subject, measure_subject(subject, subject.validation, lambda: None)


@pytest.mark.parametrize(
    ("model", "y", "threshold"),
    [
        ("make(1, keras.losses.BinaryCrossentropy(from_logits=True))", "y[:, None] > 0", 0),
        ("make(1, 'binary_focal_crossentropy', 'sigmoid')", "y.astype(int)", 0.5),
        (
            "make(3, keras.losses.CategoricalCrossentropy(from_logits=True))",
            "keras.utils.to_categorical(classes)",
            None,
        ),
        ("make(3, 'sparse_categorical_crossentropy', 'softmax')", "classes[:, None]", None),
    ],
)
def test_the_loss_says_what_the_predictions_mean(model: str, y: str, threshold: float | None) -> None:
    subject, found = measure(model, y, np.ones(90))
    data = names_of_data()
    outputs = np.asarray(subject.model(data["x"]))
    chosen = outputs.argmax(axis=1) if threshold is None else outputs.ravel() > threshold
    assert np.array_equal(found.confusion, confusion_matrix(data["classes" if threshold is None else "y"], chosen))


def test_a_regression_has_residuals() -> None:
    subject, found = measure("make(2, keras.losses.Huber())", "x[:, :2]")
    x = names_of_data()["x"]
    expected = mean_absolute_error(x[:, :2], np.asarray(subject.model(x)))
    assert (subject.task, found.metrics["mae"]) == ("regression", pytest.approx(expected, rel=1e-5))


@pytest.mark.parametrize(
    ("model", "y", "reason"),
    [
        ("make(1, lambda a, b: keras.ops.mean((a - b) ** 2))", "y", "not compiled with one loss"),
        ("make(1, 'hinge')", "y", "hinge does not say what the predictions mean"),
        ("make(1, 'binary_crossentropy', 'sigmoid')", "y / 2", "not the numbers of classes"),
        ("make(2, 'binary_crossentropy', 'sigmoid')", "x[:, :2] > 0", "2 numbers for a row of one"),
        ("make(2, 'mse')", "y", "predicts 2 numbers for a row, and the targets have 1"),
        ("make(1001, 'sparse_categorical_crossentropy', 'softmax')", "classes", "1001 classes"),
        ("make(1, 'mse')", "{'a': y, 'b': y}", "not one number or class"),
        ("make(1, 'mse')", "None", "not one number or class"),
    ],
)
def test_what_cannot_be_measured_is_said(model: str, y: str, reason: str) -> None:
    with pytest.raises(NotMeasurable, match=reason):
        measure(model, y)


@pytest.mark.filterwarnings("ignore:.*shuffle=True.*:UserWarning")
def test_arrays_that_a_pipeline_is_validated_on_are_measured(volume: Volume) -> None:
    script = """import tensorflow as tf
train = tf.data.Dataset.from_tensor_slices((x[:45], y[:45])).batch(9)
make(1, "binary_crossentropy", "sigmoid").fit(train, validation_data=(x[45:], y[45:]), epochs=1, verbose=0)
"""
    job, found = evaluated(volume, DATA + script)
    data = names_of_data()
    chosen = best_outputs(job, data["x"][45:]).ravel() > 0.5
    assert np.array_equal(found.validation.confusion, confusion_matrix(data["y"][45:], chosen))


@pytest.mark.filterwarnings("ignore:.*shuffle=True.*:UserWarning")
def test_without_rows_to_validate_on_the_job_says_that_there_is_no_evaluation(volume: Volume) -> None:
    job, _ = succeed(volume, DATA + "make(1, 'mse').fit(x, y, epochs=1)")
    (event,) = events_of(job, "evaluation")
    assert (event.level, "no validation data in arrays" in event.message) == ("info", True), event.message
    assert read_evaluation(job.attempts()[-1]) is None


def test_of_several_calls_the_one_that_made_the_best_model_is_measured_on_its_own_rows(volume: Volume) -> None:
    script = (
        DATA
        + """
first = make(1, "binary_crossentropy", "sigmoid")
first.fit(x[:60], y[:60], validation_data=(x[60:], y[60:]), epochs=6, batch_size=4, verbose=0)
make(1, "binary_crossentropy", "sigmoid").fit(x[40:], y[40:], validation_data=(x[:40], 1 - y[:40]), epochs=2, verbose=0)
first.set_weights([one * 0 for one in first.get_weights()])
np.savez("rows.npz", x[60:], y[60:])
"""
    )
    job, found = evaluated(volume, script)
    assert found.validation.of == 30
    x, y = np.load(file_of(job, "rows.npz")).values()
    assert np.array_equal(found.validation.confusion, confusion_matrix(y, best_outputs(job, x).ravel() > 0.5))


def test_an_evaluation_that_fails_fails_no_job(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.training.evaluation.measure_classes", lambda *_, **__: 1 / 0)
    job, _ = succeed(volume, BINARY)
    (event,) = events_of(job, "evaluation")
    assert (event.level, "ZeroDivisionError" in event.message) == ("warning", True)


def test_a_script_that_is_handed_back_in_its_evaluation_is_evaluated_by_the_next_attempt(
    volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, whole = evaluated(volume, BINARY)
    job = put_script_job(volume, BINARY)
    first = claim(job)
    requests = StopRequests(first, 60)

    def drain_and_predict(*given: Any) -> Any:
        requests._terminated = True
        return predict(*given)

    with monkeypatch.context() as patched:
        patched.setattr("worker.training.evaluation.predict", drain_and_predict)
        assert run(first, requests, SETTINGS, prepare_script(first, SETTINGS)).ending is None
    assert read_evaluation(first) is None
    first.close(AttemptEnd(outcome="handed_back", ended_at=utc_now()))
    assert play_attempt(claim(job, 2)).status == "succeeded"
    found = read_evaluation(job.attempts()[-1])
    assert found is not None
    ignored = {"computed_at", "seconds"}
    assert found.model_dump(exclude=ignored) == whole.model_dump(exclude=ignored)
