"""Datasets that a script builds for each epoch (`fitstop.dataset`), and how plain ones are reported."""

import os
from pathlib import Path

import keras
import numpy as np
import pytest

import fitstop
from shared.job import AttemptEnd
from shared.job_folder import JobFolder
from shared.times import utc_now
from shared.volume import Volume
from tests.support.jobs import claim
from tests.support.played_scripts import events_of, file_of, play_attempt, succeed

pytestmark = pytest.mark.usefixtures("process_as_before")

# Batches that Keras cannot count in advance, validation data that differs in each pass, class weights, and a callback
# that evaluates something else.
SCRIPT = """
import fitstop, keras, numpy as np, tensorflow as tf
keras.utils.set_random_seed(3)
rng = np.random.default_rng(3)
x = rng.normal(size=(90, 4)).astype("float32"); y = (x[:, 0] > 0).astype("float32")
def build(number):
    rows = tf.data.Dataset.from_tensor_slices((x[:70], y[:70])).shuffle(70, seed=number)
    return rows.batch(16).filter(lambda x, y: True)
def validation(number):
    return tf.data.Dataset.from_tensor_slices((x[70:] + number, y[70:])).batch(8)
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(6, activation="relu"), keras.layers.Dropout(0.2),
                          keras.layers.Dense(1, activation="sigmoid")])
model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
class Others(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None): logs["other"] = self.model.evaluate(x, y, verbose=0)[0]
train, valid = fitstop.dataset(build), fitstop.dataset(validation)
log = keras.callbacks.CSVLogger("log.csv", append=True)
for epochs in (3, 2):
    model.fit(train, validation_data=valid, epochs=epochs, class_weight={0: 1.0, 1: 2.0}, callbacks=[Others(), log],
              verbose=0, shuffle=False)
model.evaluate(train, verbose=0)
np.save("weights.npy", np.concatenate([one.ravel() for one in model.get_weights()]))
"""


# Keras itself warns if it does not know a length.
@pytest.mark.filterwarnings("ignore:.*ran out of data.*:UserWarning")
def test_a_script_has_the_batches_that_it_has_by_plain_python(volume: Volume, tmp_path: Path) -> None:
    job, stop = succeed(volume, SCRIPT)
    assert stop.last_epoch == 5
    assert [event.data["resume"] for event in events_of(job, "fit")] == ["exact", "exact"]
    assert "builds for each epoch" in events_of(job, "engine")[0].message
    written = {name: file_of(job, name).read_bytes() for name in ("log.csv", "weights.npy")}
    put_back = after_losing_the_second_call(job)
    assert {name: file_of(put_back, name).read_bytes() for name in written} == written
    os.chdir(tmp_path)
    keras.utils.clear_session()
    exec(compile(SCRIPT, "train.py", "exec"), {"__name__": "__main__"})
    assert {name: (tmp_path / name).read_bytes() for name in written} == written


def after_losing_the_second_call(job: JobFolder) -> JobFolder:
    """Run a job again whose first call of fit had ended and used up its passes."""
    first = job.attempts()[0]
    for point in (first.resume / "fit-0002.bin", *first.resume.glob("point-*")):
        point.unlink()
    first.close(AttemptEnd(outcome="lost", ended_at=utc_now()))
    assert play_attempt(claim(job, 2)).status == "succeeded"
    assert "its end state is restored" in events_of(job, "fit")[0].message
    return job


PLAIN = SCRIPT.partition("train, valid")[0] + "data = build(0)\nvalid = validation(0)\n"


# Calls of fit, and what makes them exact.
CALLS = {
    "fitstop.dataset(build), validation_data=valid": "",
    "data": "x is a tf.data dataset: Keras itself iterates over the data, and its random state cannot be restored; "
    "give fit fitstop.dataset(build)",
    "fitstop.dataset(build), steps_per_epoch=2": "omit steps_per_epoch",
    "x, y, validation_data=valid": "give validation_data as arrays",
    "fitstop.dataset(lambda epoch: data.shuffle(9).map(lambda *one: one))": "build(0) gave two different first",
    "fitstop.dataset(build), validation_data=data": "validation_data gives different batches",
    "fitstop.dataset(lambda epoch: build(epoch).with_options(loose))": "not a deterministic dataset, by its options",
}


@pytest.mark.filterwarnings("ignore:.*shuffle=True.*:UserWarning", "ignore:.*ran out of data.*:UserWarning")
def test_what_is_not_exact_is_marked_with_what_makes_it_so(volume: Volume) -> None:
    loose = "loose = tf.data.Options(); loose.deterministic = False\n"
    fits = "".join(f"model.fit({call}, epochs=1)\n" for call in CALLS)
    job, _ = succeed(volume, f"{PLAIN}{loose}{fits}")
    for event, (call, reason) in zip(events_of(job, "fit"), CALLS.items(), strict=True):
        assert event.data["resume"] == ("inexact" if reason else "exact"), call
        assert reason in "".join(event.data["reasons"]), call


def test_what_is_no_dataset_with_an_end_is_refused() -> None:
    import tensorflow as tf

    with pytest.raises(TypeError, match="returned ndarray, expected a tf"):
        fitstop.dataset(np.zeros)
    with pytest.raises(ValueError, match="without end"):
        fitstop.dataset(lambda epoch: tf.data.Dataset.range(3).repeat())
