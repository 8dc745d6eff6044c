"""A tf.data pipeline that the script builds for each epoch: a job resumes inside one, exactly."""

import keras
import numpy as np
import tensorflow as tf

import fitstop

keras.utils.set_random_seed(12)
rng = np.random.default_rng(12)
x = rng.normal(size=(320, 5)).astype("float32")
y = (x.sum(axis=1) > 0).astype("float32")


def noisy(seed, features, target):
    return features + 0.1 * tf.random.stateless_normal((5,), seed), target


def build(epoch):
    rows = tf.data.Dataset.from_tensor_slices((x[:256], y[:256])).shuffle(256, seed=epoch)
    seeds = tf.data.Dataset.random(seed=epoch).batch(2)
    return tf.data.Dataset.zip(seeds, rows).map(lambda seed, row: noisy(seed, *row)).batch(32).prefetch(2)


train = fitstop.dataset(build)
valid = tf.data.Dataset.from_tensor_slices((x[256:], y[256:])).batch(32)

model = keras.Sequential(
    [keras.Input((5,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(1, "sigmoid")]
)
model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
stop = keras.callbacks.EarlyStopping(patience=3, restore_best_weights=True)
history = model.fit(train, validation_data=valid, epochs=12, callbacks=[stop, keras.callbacks.CSVLogger("log.csv")])
print(len(history.epoch))
model.save("pipeline.keras")
