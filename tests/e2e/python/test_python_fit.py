"""`fitstop.fit` on a real service: the article's model, its numbers, and what `fit` does besides training."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import fitstop
from tests.support.waiting import wait_for
from tests.support.wine import article_file

ROOT = Path(__file__).parents[3]


def article(folder):
    """The article's data: training and validation rows, prepared as its notebook does."""
    import pandas as pd
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    frame = pd.read_csv(article_file(folder)).dropna()
    frame["type"] = (frame["type"] == "white").astype(int)
    target = (frame.pop("quality") >= 6).astype(int)
    x, x_test, y, y_test = train_test_split(frame, target, test_size=0.2, random_state=42)
    scaler = StandardScaler()
    return scaler.fit_transform(x), y, scaler.transform(x_test), y_test


def small_data(rows=320, seed=0):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(rows, 4))
    return x, (x.sum(axis=1) > 0).astype(int)


def small_model(*layers, optimizer="adam", **compiled):
    keras.utils.set_random_seed(7)
    body = layers or (keras.layers.Dense(8, activation="relu"),)
    model = keras.Sequential([*body, keras.layers.Dense(1, activation="sigmoid")])
    model.compile(optimizer, "binary_crossentropy", **{"metrics": ["accuracy"], **compiled})
    return model


def four(folder):
    return [
        keras.callbacks.ModelCheckpoint(
            str(folder / "model-{epoch:02d}-{val_accuracy:.2f}.keras"), monitor="val_accuracy", save_best_only=True
        ),
        keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.1, patience=10, min_lr=0.00001),
        keras.callbacks.EarlyStopping(monitor="val_accuracy", min_delta=0.001, patience=10),
        keras.callbacks.CSVLogger(str(folder / "training_log.csv")),
    ]


def test_the_article_has_the_numbers_of_the_same_job_by_json_and_stops_by_itself(client, tmp_path):
    x, y, x_test, y_test = article(tmp_path)
    model = small_model(*(keras.layers.Dense(64, activation="relu") for _ in range(3)))
    run = fitstop.fit(
        model, x, y, validation_data=(x_test, y_test), epochs=1000, callbacks=four(tmp_path), name="article", verbose=0
    )
    assert (run.status, run.stop["reason"]) == ("succeeded", "early_stopping")
    assert 12 <= run.epoch < 100
    assert run.stop["best"]["value"] > 0.7
    assert run.job["warnings"] == []
    assert run.job["spec"]["name"] == "article"

    spec = run.job["spec"]
    posted = {name: spec[name] for name in ("dataset", "model", "hyperparameters", "callbacks")}
    assert posted["model"]["weights"]
    by_json = fitstop.submit(posted).wait(verbose=False)
    assert by_json.history == run.history
    assert by_json.stop == run.stop
    assert by_json.best_model_path(tmp_path / "json").name == run.best_model_path(tmp_path / "fit").name

    # Everything that a notebook does next.
    assert set(run.history) == {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"}
    best = run.best_model()
    assert best.evaluate(x_test, y_test, return_dict=True, verbose=0)["accuracy"] == pytest.approx(
        max(run.history["val_accuracy"])
    )
    assert run.ledger["gpu_seconds"]["total"] > 0
    assert run.training_log().startswith("epoch,accuracy,learning_rate,loss,")
    assert sum(event["type"] == "epoch" for event in run.events()) == run.epoch


def test_training_starts_from_the_models_own_weights_and_leaves_the_model_as_it_is(client):
    x, y = small_data()
    model = small_model(optimizer=keras.optimizers.SGD(1e-12))
    model.build((None, 4))
    for variable in model.variables:
        variable.assign(np.random.default_rng(3).uniform(-1, 1, variable.shape))
    before = [variable.numpy() for variable in model.variables]
    wanted = model.evaluate(x[240:], y[240:], return_dict=True, verbose=0)
    run = fitstop.fit(model, x, y, validation_split=0.25, verbose=0, batch_size=80)
    assert run.history["val_accuracy"] == [pytest.approx(wanted["accuracy"])]
    assert run.history["val_loss"] == [pytest.approx(wanted["loss"], rel=1e-5)]
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    best = run.best_model()
    np.testing.assert_allclose(best.layers[-1].get_weights()[0], model.layers[-1].get_weights()[0])


def test_what_is_there_is_not_uploaded_again(client, monkeypatch):
    x, y = small_data(seed=11)
    model = small_model()
    first = fitstop.fit(model, x, y, validation_split=0.25, verbose=0)
    sent = []
    monkeypatch.setattr(fitstop.Client, "put_dataset", lambda *_, **__: sent.append("dataset"))
    monkeypatch.setattr(fitstop.Client, "put_model", lambda *_, **__: sent.append("model"))
    second = fitstop.fit(model, x, y, validation_split=0.25, verbose=0)
    assert sent == []
    assert second.history == first.history


def test_more_devices_than_a_worker_has_are_refused_before_anything_is_uploaded(client):
    (x, y), model = small_data(seed=71), small_model()
    datasets = client.datasets()["data"]
    for devices, detail in ((2, "received 2, expected at most 1"), (0, "received 0, expected")):
        with pytest.raises(fitstop.Refused) as refused:
            fitstop.fit(model, x, y, validation_split=0.25, devices=devices)
        (problem,) = refused.value.problem.errors
        assert problem.pointer == "#/hyperparameters/devices"
        assert problem.detail.startswith(detail)
    assert client.datasets()["data"] == datasets


def test_a_batch_of_no_rows_is_refused_and_not_one_of_32(client):
    (x, y), model = small_data(seed=73), small_model()
    with pytest.raises(fitstop.Refused) as refused:
        fitstop.fit(model, x, y, validation_split=0.25, batch_size=0)
    assert [problem.pointer for problem in refused.value.problem.errors] == ["#/hyperparameters/batch_size"]


def test_two_projects_may_send_the_same(client, connected):
    x, y = small_data(seed=61)
    model, histories = small_model(), []
    for project in ("red", "blue", "blue"):
        key = client.create_key("fit", "write", project=project)["key"]
        with fitstop.Client(fitstop.Connection(connected.url, key)) as own:
            histories.append(fitstop.fit(model, x, y, validation_split=0.25, verbose=0, client=own).history)
    assert histories[0] == histories[1] == histories[2]


def test_sample_and_class_weights_two_inputs_and_names_of_ones_own(client):
    x, y = small_data(seed=5)
    a, b = keras.Input((3,), name="left"), keras.Input((1,), name="right")
    joined = keras.layers.Concatenate()([a, b])
    model = keras.Model([a, b], keras.layers.Dense(1, activation="sigmoid")(joined))
    model.compile("adam", "binary_crossentropy", metrics=["acc", keras.metrics.Recall(name="sensitivity")])
    stopping = keras.callbacks.EarlyStopping(monitor="val_acc", patience=2, restore_best_weights=True)
    inputs = {"left": x[:, :3], "right": x[:, 3:]}
    # Nothing is learned from class 0, so in the end every prediction is positive.
    run = fitstop.fit(
        model, inputs, y, validation_split=0.25, epochs=40, class_weight={0: 0.0, 1: 5.0}, callbacks=[stopping],
        verbose=0, seed=3,
    )  # fmt: skip
    assert set(run.history) == {"loss", "acc", "sensitivity", "val_loss", "val_acc", "val_sensitivity"}
    assert run.history["val_sensitivity"][-1] > run.history["val_sensitivity"][0]
    assert run.job["spec"]["hyperparameters"]["seed"] == 3
    assert run.job["spec"]["callbacks"]["reduce_lr_on_plateau"] is None
    # Another process knows the names too.
    assert fitstop.attach(run.id).history == run.history
    listed = [x[:, :3], x[:, 3:]]
    weights = np.where(y == 0, 0.0, 5.0)
    same = fitstop.fit(
        model, listed, y, sample_weight=weights, validation_data=(listed, y), epochs=1, verbose=0, budget=None
    )
    assert same.status == "succeeded"


def test_a_cnn_with_a_custom_layer_raises_the_error_that_names_the_layer(client):
    class Blur(keras.layers.Layer):
        def call(self, images):
            return keras.ops.flip(images)

    jobs = len(client.jobs()["data"])
    model = small_model(
        keras.layers.Conv2D(4, 3), Blur(name="my_blur"), keras.layers.Lambda(lambda x: x, name="scale"),
        keras.layers.Flatten(),
    )  # fmt: skip
    images = np.zeros((32, 8, 8, 1), np.uint8)
    with pytest.raises(fitstop.CannotSend) as told:
        fitstop.fit(
            model, images, np.zeros(32), validation_split=0.5, shuffle=False, callbacks=[keras.callbacks.Callback()]
        )
    assert len(told.value.problems) == 4
    assert 'the layer "my_blur" is of your own class Blur' in str(told.value)
    assert 'the layer "scale" is a Lambda' in str(told.value)
    assert "fitstop run train.py" in str(told.value)
    assert len(client.jobs()["data"]) == jobs


def test_what_the_service_refuses_is_told_before_the_data_is_uploaded(client, monkeypatch):
    monkeypatch.setattr(fitstop.Client, "put_dataset", lambda *_, **__: pytest.fail("uploaded"))
    x, y = small_data(seed=21)
    with pytest.raises(fitstop.Refused) as told:
        fitstop.fit(small_model(), x, y, validation_split=0.25, epochs=0)
    assert [one.pointer for one in told.value.problem.errors] == ["#/hyperparameters/epochs"]
    assert "hyperparameters.epochs" in told.value.__notes__[0]


PROGRAM = """
import sys
sys.path[:0] = [{root!r}]
from tests.e2e.python.test_python_fit import small_data, small_model
import fitstop
x, y = small_data(seed=31)
run = fitstop.fit(small_model(), x, y, validation_split=0.25, epochs=100_000, wait=False, name="killed")
print(run.id, flush=True)
run.wait()
"""


def test_a_killed_process_loses_nothing_and_another_attaches(client, connected, tmp_path):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(root=str(ROOT))], stdout=subprocess.PIPE, env=environment, text=True
    ) as process:
        try:
            job_id = process.stdout.readline().strip()
            run = fitstop.attach(job_id)
            wait_for(lambda: run.epoch > 20, 60, saying="it trains")
        finally:
            process.send_signal(signal.SIGKILL)
    seen = run.epoch
    wait_for(lambda: run.epoch > seen, 30, saying="it trains on without the process")
    with pytest.raises(TimeoutError, match=r"has not finished after 0\.5 seconds"):
        run.wait(timeout=0.5, verbose=False)
    assert run.forecast["object"] == "forecast"
    run.cancel().wait(verbose=False)
    assert (run.status, run.stop["reason"]) == ("cancelled", "cancelled")
    assert len(run.history["val_loss"]) == run.epoch >= seen
    run.delete()
    with pytest.raises(fitstop.NotFound):
        fitstop.attach(job_id)


def test_ctrl_c_ends_the_waiting_and_says_how_to_attach(client, connected, tmp_path):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", PROGRAM.format(root=str(ROOT)).replace("seed=31", "seed=32")]
    with (
        (tmp_path / "err").open("w") as err,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=err, env=environment, text=True) as process,
    ):
        job_id = process.stdout.readline().strip()
        # The first line of progress: from here on, Ctrl-C is caught.
        assert process.stdout.readline()
        run = fitstop.attach(job_id)
        wait_for(lambda: run.epoch > 3, 60, saying="it trains")
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.wait(120) != 0
    assert f'run = fitstop.attach("{job_id}")' in (tmp_path / "err").read_text()
    assert run.status == "running"
    run.cancel().wait(verbose=False)


def test_a_finished_run_is_extended_and_a_failed_one_raises(client):
    x, y = small_data(seed=41)
    run = fitstop.fit(small_model(), x, y, validation_split=0.25, epochs=2, verbose=0)
    longer = run.extend(epochs=4).wait(verbose=False)
    assert (longer.epoch, longer.history["loss"][:2]) == (4, run.history["loss"])
    with pytest.raises(fitstop.JobFailed, match="diverged"):
        fitstop.fit(keras_regression(), x * 1e15, y * 1e15, validation_split=0.25, epochs=50, verbose=0)


def keras_regression():
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(10.0), "mse")
    return model
