"""A layer and a loss of one's own."""

import keras
import numpy as np
from keras import ops

keras.utils.set_random_seed(3)


@keras.saving.register_keras_serializable("example")
class Scale(keras.layers.Layer):
    def build(self, input_shape):
        self.factor = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="factor")

    def call(self, inputs):
        return inputs * self.factor


@keras.saving.register_keras_serializable("example")
def cautious(y_true, y_pred):
    """Too high is worse than too low."""
    error = y_pred - y_true
    return ops.mean(ops.where(error > 0, 3.0 * ops.square(error), ops.square(error)), axis=-1)


rng = np.random.default_rng(3)
x = rng.normal(size=(300, 5))
y = x @ rng.normal(size=(5, 1)) + 0.1 * rng.normal(size=(300, 1))

model = keras.Sequential([keras.Input((5,)), Scale(), keras.layers.Dense(16, activation="gelu"), keras.layers.Dense(1)])
model.compile(optimizer=keras.optimizers.AdamW(0.01), loss=cautious, metrics=[keras.metrics.MeanAbsoluteError()])
model.fit(
    x, y, validation_data=(x[:60], y[:60]), epochs=14, batch_size=25,
    callbacks=[keras.callbacks.ReduceLROnPlateau(patience=2), keras.callbacks.TerminateOnNaN()],
)  # fmt: skip
model.save("cautious.keras")
print(model.evaluate(x, y, verbose=0))
