"""A model that is a class of its own, and a learning rate by a schedule."""

import keras
import numpy as np

keras.utils.set_random_seed(2)


class Residual(keras.Model):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = keras.layers.Dense(width, activation="relu")
        self.second = keras.layers.Dense(width, activation="relu")
        self.drop = keras.layers.Dropout(0.3)
        self.last = keras.layers.Dense(3, activation="softmax")

    def call(self, inputs, training=False):
        hidden = self.first(inputs)
        hidden = hidden + self.drop(self.second(hidden), training=training)
        return self.last(hidden)


rng = np.random.default_rng(2)
x = rng.normal(size=(360, 10)).astype("float32")
y = np.argmax(x[:, :3] + 0.3 * rng.normal(size=(360, 3)), axis=1)

model = Residual(24)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
schedule = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.95 if epoch else rate)
saving = keras.callbacks.ModelCheckpoint("weights-{epoch:02d}.weights.h5", save_weights_only=True, save_freq="epoch")
history = model.fit(x, y, validation_split=0.2, epochs=10, batch_size=24, callbacks=[schedule, saving], verbose=2)
print(history.history["learning_rate"][-1])
model.save_weights("last.weights.h5")
