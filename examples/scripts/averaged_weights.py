"""More of Keras's callbacks: a schedule of the learning rate, and averaged weights that are evaluated and saved."""

import keras
import numpy as np

keras.utils.set_random_seed(11)

rng = np.random.default_rng(11)
x = rng.normal(size=(240, 5)).astype("float32")
y = (x[:, 0] * x[:, 1] > 0).astype("float32")
model = keras.Sequential(
    [keras.Input((5,)), keras.layers.Dense(24, activation="relu"), keras.layers.Dense(1, activation="sigmoid")]
)
model.compile(keras.optimizers.Adam(0.02, use_ema=True, ema_momentum=0.9), "binary_crossentropy", metrics=["accuracy"])

history = keras.callbacks.History()
model.fit(
    x,
    y,
    validation_split=0.25,
    epochs=30,
    batch_size=16,
    verbose=0,
    callbacks=[
        history,
        keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.97),
        keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
        keras.callbacks.ModelCheckpoint("averaged.keras", monitor="val_loss", save_best_only=True),
        keras.callbacks.EarlyStopping(monitor="val_loss", patience=6, restore_best_weights=True),
    ],
)
print(f"{len(history.epoch)} epochs, last rate {float(model.optimizer.learning_rate):.5f}")
