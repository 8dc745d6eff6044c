"""Two inputs and two outputs by the functional API, with a weight for each row."""

import keras
import numpy as np

keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)
numbers, ratings = rng.normal(size=(400, 6)), rng.integers(0, 5, size=(400, 1))
price = (numbers @ rng.normal(size=6) + ratings[:, 0]).astype("float32")
is_good = (ratings[:, 0] + numbers[:, 0] > 2).astype("float32")

number_input = keras.Input((6,), name="numbers")
rating_input = keras.Input((1,), name="rating", dtype="int64")
embedded = keras.layers.Flatten()(keras.layers.Embedding(5, 4)(rating_input))
hidden = keras.layers.Dense(16, activation="relu")(keras.layers.concatenate([number_input, embedded]))
outputs = {
    "price": keras.layers.Dense(1, name="price")(hidden),
    "is_good": keras.layers.Dense(1, activation="sigmoid", name="is_good")(hidden),
}
model = keras.Model([number_input, rating_input], outputs)
model.compile(
    optimizer=keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.05, 100, 0.9), momentum=0.9),
    loss={"price": "mse", "is_good": "binary_crossentropy"},
    metrics={"is_good": ["accuracy"]},
)
history = model.fit(
    {"numbers": numbers, "rating": ratings},
    {"price": price, "is_good": is_good},
    sample_weight=1.0 / (1.0 + np.abs(price)),
    validation_split=0.25,
    epochs=12,
    batch_size=20,
    callbacks=[keras.callbacks.EarlyStopping(monitor="val_loss", patience=3, restore_best_weights=True)],
)
print(sorted(history.history), len(history.epoch))
np.save("predictions.npy", model.predict([numbers, ratings], verbose=0)["price"])
