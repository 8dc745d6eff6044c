"""Fine-tuning in two stages: the head first, then all layers with a smaller learning rate."""

import keras
import numpy as np

keras.utils.set_random_seed(4)
rng = np.random.default_rng(4)
x = rng.normal(size=(240, 12, 12, 1)).astype("float32")
y = (x[:, :6].mean(axis=(1, 2, 3)) > x[:, 6:].mean(axis=(1, 2, 3))).astype("int64")

base = keras.Sequential(
    [keras.Input((12, 12, 1)), keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.GlobalAveragePooling2D()],
    name="base",
)
model = keras.Sequential([base, keras.layers.Dropout(0.2), keras.layers.Dense(2, activation="softmax")])

base.trainable = False
model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
head = model.fit(
    x, y, validation_split=0.25, epochs=8, batch_size=30,
    callbacks=[keras.callbacks.EarlyStopping(patience=3), keras.callbacks.CSVLogger("log.csv")],
)  # fmt: skip
print("after the head:", model.evaluate(x, y, verbose=0))

base.trainable = True
model.compile(keras.optimizers.Adam(0.001), "sparse_categorical_crossentropy", metrics=["accuracy"])
whole = model.fit(
    x, y, validation_split=0.25, epochs=16, initial_epoch=len(head.epoch), batch_size=30,
    callbacks=[keras.callbacks.CSVLogger("log.csv", append=True)],
)  # fmt: skip
print("epochs:", head.epoch, whole.epoch)
model.save("fine-tuned.keras")
