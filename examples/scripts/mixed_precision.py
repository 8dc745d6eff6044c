"""Mixed precision with a scaled loss."""

import keras
import numpy as np

keras.utils.set_random_seed(9)
keras.mixed_precision.set_dtype_policy("mixed_float16")
rng = np.random.default_rng(9)
x = rng.normal(size=(256, 16)).astype("float32")
y = rng.integers(0, 4, size=256)
x[np.arange(256), y] += 2.0

model = keras.Sequential(
    [
        keras.Input((16,)),
        keras.layers.Dense(32, activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.Dense(4, activation="softmax", dtype="float32"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
print(type(model.optimizer).__name__)
model.fit(x, y, validation_split=0.25, epochs=10, batch_size=32, callbacks=[keras.callbacks.EarlyStopping(patience=2)])
model.save_weights("half.weights.h5")
