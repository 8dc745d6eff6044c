"""Models with a script's own code: on the fused engine with the numbers of Keras's `fit`, else on the stock one."""

from typing import Any

import keras
import numpy as np
import pytest

from shared.job import AttemptEnd
from shared.times import utc_now
from shared.volume import Volume
from tests.support.jobs import claim
from tests.support.played_scripts import events_of, file_of, play_attempt, succeed
from worker.training.fit_settings import FitSettings
from worker.training.program.arrays import read_data
from worker.training.program.calls import bind_arguments
from worker.training.program.engine_choice import Asked, plan_of_call
from worker.training.program.model_steps import ModelSteps

pytestmark = pytest.mark.usefixtures("process_as_before")

# Two networks with an optimizer each, which only the training step builds and whose logs are not metrics; and a
# callback that evaluates another model.
ADVERSARIAL = """
import keras, numpy as np, tensorflow as tf
keras.utils.set_random_seed(5)
rng = np.random.default_rng(5)
x = rng.normal(size=(70, 3)).astype("float32")
class Adversarial(keras.Model):
    def __init__(self):
        super().__init__()
        self.made = keras.Sequential([keras.layers.Dense(8, activation="relu"), keras.layers.Dense(3)])
        self.judge = keras.Sequential([keras.layers.Dense(8, activation="relu"), keras.layers.Dense(1)])
        self.draws = keras.random.SeedGenerator(5)
    def compile(self, one, other):
        super().compile(); self.one, self.other = one, other
    def train_step(self, data):
        noise = keras.random.normal((tf.shape(data)[0], 3), seed=self.draws)
        with tf.GradientTape(persistent=True) as tape:
            made = self.judge(self.made(noise))
            judged = keras.ops.mean(tf.nn.softplus(made)) + keras.ops.mean(tf.nn.softplus(-self.judge(data)))
            fooled = keras.ops.mean(tf.nn.softplus(-made))
        for loss, network, optimizer in ((judged, self.judge, self.one), (fooled, self.made, self.other)):
            optimizer.apply(tape.gradient(loss, network.trainable_variables), network.trainable_variables)
        return {"judged": judged, "fooled": fooled}
model = Adversarial()
model.compile(keras.optimizers.Adam(0.01), keras.optimizers.Adam(0.01))
CALLBACKS = [keras.callbacks.CSVLogger("log.csv")]
"""
FIT = """
model.fit(x, epochs=3, batch_size=16, callbacks=CALLBACKS, verbose=0)
np.save("weights.npy", np.concatenate([one.ravel() for one in model.get_weights()]))
"""
# A callback that acts after batches needs the stock engine.
STOCK = """
class Acts(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None): pass
CALLBACKS.append(Acts())
"""
# A subclassed model with a sampling layer, a loss that it adds, and an evaluation by a callback.
SUBCLASSED = """
import keras, numpy as np
keras.utils.set_random_seed(6)
rng = np.random.default_rng(6)
x = rng.normal(size=(75, 4)).astype("float32"); y = (x[:, :1] > 0).astype("float32")
class Noisy(keras.layers.Layer):
    def __init__(self): super().__init__(); self.draws = keras.random.SeedGenerator(6)
    def call(self, inputs): return inputs + 0.1 * keras.random.normal(keras.ops.shape(inputs), seed=self.draws)
class Own(keras.Model):
    def __init__(self):
        super().__init__()
        self.noise, self.one, self.last = Noisy(), keras.layers.Dense(8, "relu"), keras.layers.Dense(1)
    def call(self, inputs):
        hidden = self.one(self.noise(inputs)); self.add_loss(0.01 * keras.ops.mean(hidden)); return self.last(hidden)
    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return {**super().compute_metrics(x, y, y_pred, sample_weight), "largest": keras.ops.max(y_pred)}
class Others(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None): logs["other"] = self.model.evaluate(x[:20], y[:20], verbose=0)[0]
model = Own()
model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True), metrics=["mae"])
CALLBACKS = [Others(), keras.callbacks.CSVLogger("log.csv")]
"""
FIT_BOTH = FIT.replace("model.fit(x,", "model.fit(x, y, validation_split=0.2,")


@pytest.mark.parametrize(("script", "fit"), [(ADVERSARIAL, FIT), (SUBCLASSED, FIT_BOTH)], ids=["steps", "subclassed"])
def test_both_engines_give_the_same_bits(volume: Volume, script: str, fit: str) -> None:
    jobs = [succeed(volume, script + more + fit)[0] for more in (STOCK, "")]
    assert [events_of(job, "engine")[0].data["engine"] for job in jobs] == ["stock", "fused"]
    assert [event.data["resume"] for job in jobs for event in events_of(job, "fit")] == ["exact", "exact"]
    assert len({file_of(job, "log.csv").read_bytes() for job in jobs}) == 1
    assert np.array_equal(*(np.load(file_of(job, "weights.npy")) for job in jobs))


def test_a_step_that_draws_by_tensorflow_or_must_run_eagerly_is_said_to(volume: Volume) -> None:
    draws = "noise = keras.random.normal((tf.shape(data)[0], 3), seed=self.draws)"
    drawing = ADVERSARIAL.replace(draws, "noise = tf.random.normal((tf.shape(data)[0], 3)) + self.seen.assign_add(1.0)")
    drawing = drawing.replace("self.draws =", "self.seen = tf.Variable(0.0, name='seen'); self.draws =")
    # It cannot be traced, because it asks a tensor for its value.
    eager = ADVERSARIAL.replace(draws, "noise = data + float(data[0, 0])").replace(
        "compile()", "compile(run_eagerly=True)"
    )
    shown = []
    for script in (drawing, eager):
        job, _ = succeed(volume, script + FIT)
        shown.append((events_of(job, "fit")[0], events_of(job, "engine")[0]))
    (drawn, _), (eager_call, engine) = shown
    assert (drawn.data["resume"], "uses TensorFlow's RandomStandardNormal" in drawn.data["reasons"][0]) == (
        "inexact",
        True,
    )
    assert "not saved: seen;" in drawn.data["reasons"][1]
    assert "build the model and its optimizers before fit" in eager_call.data["reasons"][0]
    assert (engine.data["engine"], "the model runs eagerly" in engine.message) == ("stock", True)


def asked(model: keras.Model, epochs: int = 100, **steps: Any) -> Asked:
    return Asked(model, ModelSteps(**steps), FitSettings(epochs, 8, 1), None, [], None, 1)


def test_xla_is_what_keras_would_do_by_the_rule_of_other_jobs() -> None:
    data = read_data(bind_arguments(keras.Model.fit, None, (np.zeros((320, 4, 4, 1)), np.zeros(320)), {}))
    dense, convolutional = keras.Sequential([keras.layers.Dense(1)]), keras.Sequential([keras.layers.Conv2D(1, 2)])
    plans = {}
    for name, model in (("dense", dense), ("conv", convolutional)):
        for jit in (False, True):
            model.compile("sgd", "mse", jit_compile=jit)
            for on in ("CPU", "GPU"):
                plans[name, jit, on] = plan_of_call(asked(model), data, on)
    assert {case for case, plan in plans.items() if plan.xla} == {
        ("dense", True, "CPU"), ("dense", True, "GPU"), ("conv", True, "GPU"),
    }  # fmt: skip
    assert "convolutions many times slower on a CPU" in plans["conv", True, "CPU"].reason
    assert "compiles its model without jit_compile" in plans["dense", False, "CPU"].reason
    dense.compile("sgd", "mse", jit_compile=True)
    assert "too few to repay" in plan_of_call(asked(dense, epochs=2), data, "GPU").reason
    assert not plan_of_call(asked(dense, operations=frozenset({"Conv2D"})), data, "CPU").xla


def test_a_step_that_xla_does_not_compile_trains_without_it_and_a_resumed_run_does_not_try(volume: Volume) -> None:
    script = SUBCLASSED.replace('metrics=["mae"])', 'metrics=["mae"], jit_compile=True)')
    printing = "import tensorflow as tf; tf.print('a batch', output_stream='file://batches'); hidden = "
    script = script.replace("hidden = ", printing)
    job, _ = succeed(volume, script + FIT_BOTH)
    without, engine = events_of(job, "engine")
    assert (without.level, "continues with the fused engine without XLA" in without.message) == ("warning", True)
    assert (engine.data["engine"], engine.data["xla"]) == ("fused", False)
    weights = file_of(job, "weights.npy").read_bytes()
    (job.attempts()[0].resume / "fit-0001.bin").unlink()
    job.attempts()[0].close(AttemptEnd(outcome="lost", ended_at=utc_now()))
    assert play_attempt(claim(job, 2)).status == "succeeded"
    assert [event.data for event in events_of(job, "engine")] == [engine.data]
    assert file_of(job, "weights.npy").read_bytes() == weights
