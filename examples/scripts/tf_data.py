"""A tf.data pipeline that shuffles: it cannot be put back where it was, and the job says so."""

import keras
import numpy as np
import tensorflow as tf

keras.utils.set_random_seed(12)
rng = np.random.default_rng(12)
x = rng.normal(size=(320, 5)).astype("float32")
y = (x.sum(axis=1) > 0).astype("float32")
train = tf.data.Dataset.from_tensor_slices((x[:256], y[:256])).shuffle(256).batch(32).prefetch(2)
valid = tf.data.Dataset.from_tensor_slices((x[256:], y[256:])).batch(32)

model = keras.Sequential(
    [keras.Input((5,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(1, "sigmoid")]
)
model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
history = model.fit(train, validation_data=valid, epochs=8)
print(len(history.epoch))
model.save("pipeline.keras")
