"""A training step of one's own: mixup of the batch, and a metric that the model keeps itself."""

import keras
import numpy as np
import tensorflow as tf

keras.utils.set_random_seed(8)


class Mixed(keras.Model):
    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.tracker = keras.metrics.Mean(name="loss")
        self.draws = keras.random.SeedGenerator(8)

    @property
    def metrics(self):
        return [self.tracker]

    def train_step(self, data):
        x, y = data
        share = keras.random.uniform((), 0.0, 0.3, seed=self.draws)
        x, y = (1 - share) * x + share * x[::-1], (1 - share) * y + share * y[::-1]
        with tf.GradientTape() as tape:
            loss = keras.ops.mean(keras.losses.mean_squared_error(y, self(x, training=True)))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        self.tracker.update_state(loss)
        return {"loss": self.tracker.result()}

    def test_step(self, data):
        x, y = data
        self.tracker.update_state(keras.ops.mean(keras.losses.mean_squared_error(y, self(x, training=False))))
        return {"loss": self.tracker.result()}


rng = np.random.default_rng(8)
x = rng.normal(size=(256, 8)).astype("float32")
y = (x @ rng.normal(size=(8, 2))).astype("float32")
inputs = keras.Input((8,))
model = Mixed(inputs, keras.layers.Dense(2)(keras.layers.Dense(16, activation="relu")(inputs)))
model.compile(optimizer=keras.optimizers.Adam(0.01))
history = model.fit(x[:192], y[:192], validation_data=(x[192:], y[192:]), epochs=9, batch_size=32)
print(history.history)
model.save_weights("mixed.weights.h5")
