"""The evaluation at the end of a run: equal to scikit-learn's, bounded, and never a failure of the job."""

import base64
import io

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix, mean_absolute_error, precision_recall_fscore_support, roc_auc_score
from sklearn.model_selection import train_test_split

from shared.durable import encode
from shared.evaluation import read_evaluation
from shared.events import read_events
from shared.job import AttemptEnd
from shared.manifest import read_manifest
from shared.times import utc_now
from tests.support.jobs import claim, learnable_frame, put_dataset, put_job, small_spec
from tests.support.kinds import kind_job, put_kinds
from worker.training.data.load import load_data
from worker.training.data.rows import Part
from worker.training.errors import BudgetUsedUp
from worker.training.evaluation.classes import measure_classes
from worker.training.evaluation.outputs import Predicted, predict
from worker.training.run import run
from worker.training.stop_requests import StopRequests


def trained(volume, spec):
    """Run a job; return its attempt, its evaluation, its data, and its best model, loaded by Keras alone."""
    job = put_job(volume, spec)
    attempt = claim(job)
    conclusion = run(attempt, StopRequests(attempt, 60))
    assert conclusion.ending.status == "succeeded"
    best = read_manifest(attempt.manifest_file).best
    model = keras.models.load_model(attempt.checkpoints / best) if best else None
    return attempt, read_evaluation(attempt), load_data(attempt, job.record()), model


def outputs_of(model, part):
    x, *_ = part.batch(part.take(slice(None)))
    return np.asarray(model(x, training=False))


def events_of(attempt):
    return [event for _, event in read_events(attempt.events_file) if event.type == "evaluation"]


def test_the_confusion_matrix_of_a_table_is_that_of_scikit_learn_on_the_same_rows(volume):
    frame = learnable_frame()
    put_dataset(volume, frame)
    attempt, found, data, model = trained(volume, small_spec(dataset={"test_fraction": 0.25}))
    rest, test = train_test_split(np.arange(len(frame)), test_size=0.25, random_state=42)
    _, validation = train_test_split(rest, test_size=0.2, random_state=42)
    for part, result, rows in ((data.validation, found.validation, validation), (data.test, found.test, test)):
        true = (frame["grade"].to_numpy()[rows] >= 3).astype(int)
        shares = outputs_of(model, part).ravel()
        assert np.array_equal(part.targets.ravel(), true)
        assert np.array_equal(result.confusion, confusion_matrix(true, shares > 0.5))
        precision, recall, _, support = precision_recall_fscore_support(true, shares > 0.5, zero_division=np.nan)
        told = [(one.precision, one.recall, one.support) for one in result.classes]
        assert np.allclose(np.array(told, float), np.transpose([precision, recall, support]), equal_nan=True)
        assert result.metrics["auc"] == pytest.approx(roc_auc_score(true, shares))
        fraction, mean = calibration_curve(true, shares, n_bins=10)
        assert np.allclose([one.fraction_positive for one in result.calibration], fraction)
        assert np.allclose([one.mean_predicted for one in result.calibration], mean)
        names = {True: "positive", False: "negative"}
        for one in result.mistakes:
            assert one.row in rows
            assert (one.true, one.predicted) == (
                names[frame["grade"][one.row] >= 3],
                names[frame["grade"][one.row] < 3],
            )
        losses = [one.loss for one in result.mistakes]
        assert losses == sorted(losses, reverse=True)
    manifest = read_manifest(attempt.manifest_file)
    assert (found.epoch, found.checkpoint) == (manifest.find(manifest.best).epoch, manifest.best)
    (event,) = events_of(attempt)
    assert event.data["test"] == found.test.rows == 60


@pytest.mark.parametrize("kind", ["augmented images", "arrays of images", "two inputs"])
def test_the_confusion_matrix_of_every_kind_is_that_of_scikit_learn(volume, kind):
    put_kinds(volume)
    _, found, data, model = trained(volume, kind_job(kind, epochs=2))
    targets = data.validation.targets
    targets = targets if data.validation.selected is None else targets[data.validation.selected]
    true = targets.ravel().astype(int) if targets.shape[1] == 1 else targets.argmax(axis=1)
    outputs = outputs_of(model, data.validation)
    chosen = outputs.argmax(axis=1) if outputs.shape[1] > 1 else (outputs.ravel() > 0.5).astype(int)
    assert np.array_equal(found.validation.confusion, confusion_matrix(true, chosen, labels=range(len(data.classes))))
    assert found.validation.rows == found.validation.of == len(true)
    for one in found.validation.mistakes:
        assert one.true != one.predicted
        if kind == "augmented images":
            picture = Image.open(io.BytesIO(base64.b64decode(one.thumbnail.partition(",")[2])))
            assert np.array_equal(np.asarray(picture), data.validation.x[one.row][..., 0])
            assert data.classes[int(data.validation.targets[one.row, 0])] == one.true


def test_a_regression_has_residuals_and_its_largest_errors(volume):
    put_kinds(volume)
    _, found, data, model = trained(volume, kind_job("several outputs", epochs=2))
    true, outputs = data.validation.targets[data.validation.selected], outputs_of(model, data.validation)
    result = found.validation
    assert result.metrics["mae"] == pytest.approx(mean_absolute_error(true, outputs), rel=1e-5)
    assert sum(result.residuals.rows) == true.size
    assert result.residuals.mean == pytest.approx((true - outputs).mean(), rel=1e-4)
    worst = np.abs(true - outputs).mean(axis=1).argmax()
    assert result.mistakes[0].row == data.validation.selected[worst]
    assert result.mistakes[0].true == pytest.approx(tuple(true[worst].tolist()))
    assert result.confusion is None


def test_without_a_checkpoint_the_last_epoch_is_evaluated(volume):
    put_dataset(volume, learnable_frame())
    spec = small_spec(callbacks={"model_checkpoint": None, "early_stopping": None})
    _, found, _, _ = trained(volume, spec)
    assert (found.checkpoint, found.epoch) == (None, 4)


def test_a_budget_that_ends_in_the_evaluation_leaves_a_trained_job_and_says_so(volume, monkeypatch):
    put_dataset(volume, learnable_frame())

    def predict_too_long(*_):
        raise BudgetUsedUp(None)

    monkeypatch.setattr("worker.training.evaluation.predict", predict_too_long)
    attempt, found, _, _ = trained(volume, small_spec())
    assert found is None
    (event,) = events_of(attempt)
    assert (event.level, event.message) == ("warning", "the best model was not evaluated: the budget is used up")


def test_an_evaluation_that_fails_fails_no_job(volume, monkeypatch):
    put_dataset(volume, learnable_frame())
    monkeypatch.setattr("worker.training.evaluation.measure_classes", lambda *_, **__: 1 / 0)
    attempt, found, _, _ = trained(volume, small_spec())
    assert found is None
    assert "ZeroDivisionError" in events_of(attempt)[0].message


def test_a_cancel_in_the_evaluation_cancels_the_job(volume, monkeypatch):
    put_dataset(volume, learnable_frame())
    job = put_job(volume, small_spec())
    attempt = claim(job)
    requests = StopRequests(attempt, 60)

    def cancel_and_predict(*given):
        job.request_cancel()
        requests._looked = 0.0
        return predict(*given)

    monkeypatch.setattr("worker.training.evaluation.predict", cancel_and_predict)
    assert run(attempt, requests).ending.status == "cancelled"
    assert read_evaluation(attempt) is None


def test_a_run_that_is_handed_back_in_the_evaluation_is_evaluated_by_the_next_attempt(volume, monkeypatch):
    put_dataset(volume, learnable_frame())
    spec = small_spec(hyperparameters={"epochs": 40}, callbacks={"early_stopping": {"patience": 2}})
    _, whole, _, _ = trained(volume, spec)
    job = put_job(volume, spec)
    first = claim(job, 1)
    requests = StopRequests(first, 60)
    with monkeypatch.context() as patched:

        def drain_and_predict(*given):
            requests._terminated = True
            return predict(*given)

        patched.setattr("worker.training.evaluation.predict", drain_and_predict)
        assert run(first, requests).ending is None
    assert read_evaluation(first) is None
    first.close(AttemptEnd(outcome="handed_back", ended_at=utc_now()))
    second = claim(job, 2)
    conclusion = run(second, StopRequests(second, 60))
    assert (conclusion.ending.status, conclusion.ending.stop.reason) == ("succeeded", "early_stopping")
    ignored = {"computed_at", "seconds"}
    assert read_evaluation(second).model_dump(exclude=ignored) == whole.model_dump(exclude=ignored)


def model_of(outputs):
    inputs = keras.Input((1,))
    return keras.Model(inputs, keras.layers.Dense(outputs)(inputs))


def part_of(rows):
    return Part({"rows": np.arange(rows, dtype=np.float32)[:, None]}, np.zeros((rows, 1), np.float32))


def test_of_many_rows_a_random_sample_of_batches_is_predicted(monkeypatch):
    monkeypatch.setattr("worker.training.evaluation.outputs.MOST_ROWS", 100)
    model, part = model_of(1), part_of(1000)
    found = predict(model, 1, part, 10, lambda: None)
    assert len(found.rows) == 100
    assert found.rows.tolist() == sorted(set(found.rows.tolist()))
    assert found.rows.max() > 500
    assert np.allclose(found.outputs, np.asarray(model(part.x[found.rows])))


def test_a_slow_model_is_predicted_for_the_longest_time_alone(monkeypatch):
    monkeypatch.setattr("worker.training.evaluation.outputs.MOST_SECONDS", 0.0)
    assert len(predict(model_of(1), 1, part_of(1000), 10, lambda: None).rows) == 10


def test_of_a_thousand_classes_and_every_row_wrong_the_document_stays_small():
    random = np.random.default_rng(1)
    rows, classes = 20_000, 1000
    pixels = random.integers(0, 256, (rows, 32, 32, 3), np.uint8)
    part = Part({"image": pixels}, random.integers(0, classes, (rows, 1), np.int32))
    outputs = random.random((rows, classes), np.float32)
    result = measure_classes(part, Predicted(np.arange(rows), outputs), range(classes), from_logits=True)
    assert result.confusion is None
    assert (len(result.classes), len(result.most_confused), len(result.mistakes)) == (1000, 50, 24)
    assert len(encode(result.model_dump(mode="json"))) < 400_000


def test_a_class_that_no_row_is_of_has_no_recall_and_one_that_is_never_predicted_no_precision():
    part = Part({"rows": np.zeros((3, 1), np.float32)}, np.array([[0], [0], [1]], np.int32))
    outputs = np.array([[1, 0, 0], [0, 0, 1], [1, 0, 0]], np.float32)
    result = measure_classes(part, Predicted(np.arange(3), outputs), ("a", "b", "c"), from_logits=False)
    assert [(one.precision, one.recall) for one in result.classes] == [(0.5, 0.5), (None, 0.0), (0.0, None)]
    assert [(one.true, one.predicted, one.rows) for one in result.most_confused] == [(1, 0, 1), (0, 2, 1)]
