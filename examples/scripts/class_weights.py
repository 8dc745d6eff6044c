"""Classes of different sizes, weighted; the log is separated by semicolons."""

import keras
import numpy as np
from sklearn.utils.class_weight import compute_class_weight

keras.utils.set_random_seed(6)
rng = np.random.default_rng(6)
x = rng.normal(size=(400, 7)).astype("float32")
y = (x[:, 0] + 0.5 * rng.normal(size=400) > 1.2).astype("int64")
weights = dict(enumerate(compute_class_weight("balanced", classes=np.array([0, 1]), y=y)))

model = keras.Sequential(
    [keras.Input((7,)), keras.layers.Dense(10, activation="tanh"), keras.layers.Dense(1, "sigmoid")]
)
model.compile("rmsprop", "binary_crossentropy", metrics=["accuracy", keras.metrics.AUC(name="auc")])
stop = keras.callbacks.EarlyStopping(monitor="val_auc", mode="max", patience=4, start_from_epoch=3, baseline=0.5)
history = model.fit(
    x, y, class_weight=weights, validation_split=0.25, epochs=20, batch_size=16,
    callbacks=[stop, keras.callbacks.CSVLogger("log.csv", separator=";")],
)  # fmt: skip
print(history.history["val_auc"][-1], stop.best, stop.stopped_epoch)
