"""Scripts that run as jobs, in this process, on small data."""

import json
import os
import threading
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from api import create_app
from shared.job import AttemptEnd
from shared.job_folder import JobFolder
from shared.settings import Settings
from shared.times import utc_now
from shared.volume import Volume
from tests.support.jobs import claim, rows_of
from tests.support.keys import ADMIN_KEY, authorized
from tests.support.played_scripts import events_of, file_of, play, play_attempt, succeed
from tests.support.scripts import put_script_job
from tests.support.stock_fit import stock_fit
from tests.support.waiting import wait_for
from worker.training.resume.point import read_point

pytestmark = pytest.mark.usefixtures("process_as_before")

DATA = """
import keras, numpy as np
keras.utils.set_random_seed(3)
rng = np.random.default_rng(3)
x = rng.normal(size=(90, 4)); y = (x[:, 0] > 0).astype("float32")
def make():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(6, activation="relu"), keras.layers.Dropout(0.2),
                              keras.layers.Dense(1, activation="sigmoid")])
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model
model = make()
"""


def test_the_log_is_the_one_that_the_script_writes_by_itself_in_the_same_order_of_batches(
    volume: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = DATA + (
        "rate = [keras.callbacks.ReduceLROnPlateau(patience=1),\n"
        "  keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9)]\n"
        "model.compile(keras.optimizers.Adam(0.01, use_ema=True), 'binary_crossentropy', metrics=['accuracy'])\n"
        "stop = keras.callbacks.EarlyStopping(patience=2, restore_best_weights=True)\n"
        "own = keras.callbacks.History()\n"
        "h = model.fit(x, y, validation_split=0.2, epochs=9, batch_size=16,\n"
        "  callbacks=[own, *rate, keras.callbacks.SwapEMAWeights(True), stop, keras.callbacks.CSVLogger('log.csv')])\n"
        "assert h is own and len(own.epoch) > 1, own.history\n"
        "np.save('weights.npy', np.concatenate([one.ravel() for one in model.get_weights()]))\n"
    )
    job, _ = succeed(volume, script)
    log, weights = file_of(job, "log.csv").read_bytes(), np.load(file_of(job, "weights.npy"))
    monkeypatch.setattr(keras.Model, "fit", stock_fit(keras.Model.fit))
    os.chdir(tmp_path)
    keras.utils.clear_session()
    exec(compile(script, "train.py", "exec"), {"__name__": "__main__"})
    assert (tmp_path / "log.csv").read_bytes() == log
    assert np.array_equal(np.load(tmp_path / "weights.npy"), weights)


def test_later_layers_have_the_names_that_they_have_in_plain_keras(volume: Volume) -> None:
    lines = (
        "from pathlib import Path\n"
        "model.fit(x, y, epochs=1, verbose=0)\n"
        "Path('names').write_text(' '.join(one.name for one in make().layers))\n"
    )
    job, _ = succeed(volume, DATA + lines)
    assert file_of(job, "names").read_text() == "dense_2 dropout_1 dense_3"


def test_the_evidence_of_a_stop_is_that_of_the_scripts_early_stopping(volume: Volume) -> None:
    script = DATA + (
        "stop = keras.callbacks.EarlyStopping(monitor='val_accuracy', min_delta=0.2, patience=3)\n"
        "h = model.fit(x, y, validation_split=0.2, epochs=50, callbacks=[stop])\n"
        "print(len(h.epoch), stop.stopped_epoch)\n"
    )
    job, stop = succeed(volume, script)
    assert (stop.reason, stop.monitor, stop.wait, stop.patience) == ("early_stopping", "val_accuracy", 3, 3)
    assert stop.last_improvement is not None
    assert stop.last_epoch == stop.last_improvement.epoch + 3 == 50 - stop.epochs_not_run
    assert stop.best is not None
    (call,) = events_of(job, "fit")
    assert call.data["rule"]["mode"] == "max"
    assert (call.data["resume"], "early stopping may end it sooner" in call.message) == ("exact", True)
    assert len(rows_of(job.attempts()[0].training_log)) == stop.last_epoch


def test_epochs_count_over_all_calls_and_the_script_sees_its_own(volume: Volume) -> None:
    script = DATA + (
        "class Seen(keras.callbacks.Callback):\n"
        "    def __init__(self): super().__init__(); self.epochs = []\n"
        "    def on_epoch_end(self, epoch, logs=None): self.epochs.append(epoch)\n"
        "one, two = Seen(), Seen()\n"
        "a = model.fit(x, y, epochs=2, callbacks=[one])\n"
        "b = make().fit(x, y, epochs=7, initial_epoch=4, callbacks=[two], shuffle=False)\n"
        "seen = [a.epoch, one.epochs, b.epoch, two.epochs, sorted(b.history)]\n"
        "import json, pathlib; pathlib.Path('seen.json').write_text(json.dumps(seen))\n"
    )
    job, stop = succeed(volume, script)
    assert (stop.reason, stop.last_epoch) == ("epochs_completed", 5)
    assert json.loads(file_of(job, "seen.json").read_text()) == [
        [0, 1], [0, 1], [4, 5, 6], [4, 5, 6], ["accuracy", "loss"],
    ]  # fmt: skip
    assert [event.data["epoch"] for event in events_of(job, "epoch")] == [1, 2, 3, 4, 5]
    assert "only the job's budget can end it sooner" in events_of(job, "fit")[0].message


def test_early_stopping_that_can_never_act_is_a_warning(volume: Volume) -> None:
    stop = "keras.callbacks.EarlyStopping(monitor='val_loss', patience=1)"
    script = f"import warnings; warnings.simplefilter('ignore')\n{DATA}model.fit(x, y, epochs=2, callbacks=[{stop}])\n"
    job, _ = succeed(volume, script)
    (call,) = events_of(job, "fit")
    assert (call.level, 'monitors "val_loss", and the model logs accuracy, loss' in call.message) == ("warning", True)


def test_the_specs_early_stopping_is_added_where_a_script_has_none(volume: Volume) -> None:
    rule = {"monitor": "val_accuracy", "patience": 2, "min_delta": 0.9}
    script = DATA + "model.fit(x, y, epochs=2)\n" + "make().fit(x, y, validation_split=0.2, epochs=30)\n"
    _, missing = play(volume, script, callbacks={"early_stopping": rule})
    assert missing.error is not None
    assert "which call 1 of fit does not log; it logs accuracy, loss" in missing.error.message
    script = DATA + "model.fit(x, y, validation_split=0.2, epochs=30)\n"
    _, stop = succeed(volume, script, callbacks={"early_stopping": rule})
    assert (stop.reason, stop.monitor, stop.patience, stop.last_epoch) == ("early_stopping", "val_accuracy", 2, 3)


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("raise KeyError('x')", "script_failed", "(train.py, line 2)"),
        ("import nothing_of_this_name", "script_failed", "requirements.txt"),
        ("open('not there')", "script_failed", "FileNotFoundError"),
        ("import sys; sys.exit(3)", "script_failed", "sys.exit(3)"),
        ("import sys; sys.exit(0)", None, ""),
        ("import keras\nkeras.Sequential([keras.layers.Dense(1)]).fit([1])", "script_failed", "compile"),
        (DATA + "model.fit(iter([(x, y)]), epochs=2)", "script_failed", "generator"),
        (
            DATA + "model.fit(x, y, callbacks=[object.__new__(keras.callbacks.OrbaxCheckpoint)])",
            "script_failed",
            "Orbax",
        ),
        (DATA + "model.fit(x * float('nan'), y, epochs=2, verbose=0)", "diverged", "not finite"),
    ],
)
def test_a_scripts_end_is_the_jobs(volume: Volume, line: str, code: str | None, words: str) -> None:
    _, ending = play(volume, f"# a script\n{line}\n")
    assert (ending.error.code if ending.error else None) == code
    assert words in (ending.error.message if ending.error else "")


# Keras itself warns about this.
@pytest.mark.filterwarnings("ignore:.*shuffle=True.*:UserWarning")
def test_what_cannot_be_exact_is_said_with_its_reason(volume: Volume) -> None:
    script = DATA + (
        "import tensorflow as tf\n"
        "class Forgets(keras.callbacks.Callback):\n"
        "    def __init__(self): super().__init__(); self.writer = lambda: 0; self.client = object()\n"
        "model.fit(x, y, epochs=2, callbacks=[Forgets()])\n"
        "model.fit(tf.data.Dataset.from_tensor_slices((x, y)).batch(30), epochs=2)\n"
    )
    job, _ = succeed(volume, script)
    forgetful, pipeline = events_of(job, "fit")
    assert (forgetful.data["resume"], pipeline.data["resume"]) == ("epoch", "inexact")
    assert "Forgets holds writer, client" in forgetful.data["reasons"][0]
    assert "a tf.data dataset" in pipeline.data["reasons"][0]


@pytest.mark.filterwarnings("ignore:.*shuffle=True.*:UserWarning")
@pytest.mark.parametrize(
    ("call", "kind", "reason"),
    [
        ("x, y, epochs=2", "exact", ""),
        ("x, y, epochs=2, callbacks=[Forgets()]", "epoch", "Forgets holds client"),
        ("tf.data.Dataset.from_tensor_slices((x, y)).batch(30), epochs=2", "inexact", "a tf.data dataset"),
    ],
)
def test_a_job_says_before_and_after_an_interruption_whether_it_is_exact(
    volume: Volume, call: str, kind: str, reason: str
) -> None:
    script = DATA + (
        "import tensorflow as tf\n"
        "class Forgets(keras.callbacks.Callback):\n"
        "    def __init__(self): super().__init__(); self.client = object()\n"
        f"model.fit({call})\n"
    )
    job, _ = succeed(volume, script)
    before = shown_resume(volume, job)
    (job.attempts()[0].resume / "fit-0001.bin").unlink()
    job.attempts()[0].close(AttemptEnd(outcome="lost", ended_at=utc_now()))
    play_attempt(claim(job, 2))
    after = shown_resume(volume, job)
    assert (before["exact"], before["kind"], after["exact"], after["kind"]) == (True, kind, kind == "exact", kind)
    for found in (before, after):
        assert len(found["reasons"]) == (kind != "exact")
        assert reason in "".join(found["reasons"])


def test_a_list_that_a_callback_and_the_script_share_is_one_list_after_an_interruption(volume: Volume) -> None:
    script = DATA + (
        "class Noted(keras.callbacks.Callback):\n"
        "    def __init__(self, epochs): super().__init__(); self.epochs = epochs\n"
        "    def on_epoch_end(self, epoch, logs=None): self.epochs.append(epoch)\n"
        "epochs = []\n"
        "model.fit(x, y, epochs=3, callbacks=[Noted(epochs)])\n"
        "import pathlib; pathlib.Path('epochs').write_text(str(epochs))\n"
    )
    job, _ = succeed(volume, script)
    job.attempts()[0].close(AttemptEnd(outcome="lost", ended_at=utc_now()))
    play_attempt(claim(job, 2))
    assert file_of(job, "epochs").read_text() == "[0, 1, 2]"


def shown_resume(volume: Volume, job: JobFolder) -> Any:
    settings = Settings(volume=volume.root, redis_url="redis://127.0.0.1:1/0", admin_key=ADMIN_KEY)
    return authorized(create_app(settings)).get(f"/jobs/{job.id}").json["resume"]


def test_a_script_is_cancelled_outside_of_fit_too(volume: Volume) -> None:
    job = put_script_job(
        volume,
        "import time\nopen('begun', 'w').close()\n"
        "while True:\n    try:\n        time.sleep(30)\n    except Exception:\n        pass\n",
    )
    attempt = claim(job)

    def cancel() -> None:
        wait_for((attempt.path / "files" / "begun").exists, 30)
        job.request_cancel()

    threading.Thread(target=cancel).start()
    assert play_attempt(attempt).status == "cancelled"


def test_a_model_that_fits_another_inside_its_own_callbacks_trains_it_by_keras(volume: Volume) -> None:
    script = DATA + (
        "class Nested(keras.callbacks.Callback):\n"
        "    def on_epoch_end(self, epoch, logs=None): make().fit(x, y, epochs=1, verbose=0)\n"
        "model.fit(x, y, epochs=2, callbacks=[Nested()])\n"
    )
    job, _ = succeed(volume, script)
    assert len(events_of(job, "epoch")) == 2


def test_the_optimizers_that_a_model_keeps_beside_its_own_are_in_its_records(volume: Volume) -> None:
    script = DATA + (
        "class Two(keras.Model):\n"
        "    def __init__(self):\n"
        "        super().__init__(); self.a = keras.layers.Dense(1); self.b = keras.layers.Dense(1)\n"
        "        self.second = keras.optimizers.Adam(0.01)\n"
        "    def call(self, x): return self.a(x) + self.b(x)\n"
        "    def train_step(self, data):\n"
        "        import tensorflow as tf\n"
        "        x, y = data\n"
        "        with tf.GradientTape(persistent=True) as tape:\n"
        "            loss = keras.ops.mean(keras.ops.square(self(x)[:, 0] - y))\n"
        "        for layer, optimizer in ((self.a, self.optimizer), (self.b, self.second)):\n"
        "            optimizer.apply(tape.gradient(loss, layer.trainable_variables), layer.trainable_variables)\n"
        "        return {'loss': loss}\n"
        "two = Two(); two(x[:1]); two.second.build(two.b.trainable_variables); two.compile('sgd')\n"
        "print(two.fit(x, y, epochs=2).history)\n"
    )
    job, _ = succeed(volume, script)
    record = read_point(job.attempts()[0].resume / "fit-0001.bin")
    assert sum(name.startswith("second:") for name, _ in record.tensors) == len(
        ["iteration", "learning_rate", "kernel m", "kernel v", "bias m", "bias v"]
    )
