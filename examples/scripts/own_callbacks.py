"""Callbacks of one's own: one whose attributes are plain, and one that says itself what its state is."""

import keras
import numpy as np

keras.utils.set_random_seed(7)


class Smoothed(keras.callbacks.Callback):
    """Stops when the smoothed loss has risen six times. Its attributes are plain, so they are kept without its help."""

    def __init__(self, decay: float = 0.7) -> None:
        super().__init__()
        self.decay = decay
        self.smooth = None
        self.rises = 0
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):
        before = self.smooth
        self.smooth = logs["val_loss"] if before is None else self.decay * before + (1 - self.decay) * logs["val_loss"]
        self.seen.append((epoch, float(self.smooth)))
        self.rises += before is not None and self.smooth > before
        if self.rises == 6:
            self.model.stop_training = True


class Snapshots(keras.callbacks.Callback):
    """Keeps the mean of the last weights, in an object that only it knows how to save."""

    def __init__(self) -> None:
        super().__init__()
        self._mean = iter(())
        self._count, self._weights = 0, None

    def on_epoch_end(self, epoch, logs=None):
        self._count += 1
        new = self.model.get_weights()
        old = self._weights or new
        self._weights = [one + (two - one) / self._count for one, two in zip(old, new, strict=True)]

    def get_state(self):
        return {"count": self._count, "weights": self._weights}

    def set_state(self, state):
        self._count, self._weights = state["count"], state["weights"]


rng = np.random.default_rng(7)
x = rng.normal(size=(200, 6))
y = np.sin(x[:, 0]) + 0.1 * rng.normal(size=200)
model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(20, activation="relu"), keras.layers.Dense(1)])
model.compile(keras.optimizers.Adam(0.03), "mse")
smoothed, snapshots = Smoothed(), Snapshots()
model.fit(x, y, validation_split=0.3, epochs=30, batch_size=20, callbacks=[smoothed, snapshots], verbose=0)
print(smoothed.seen[-1], snapshots._count)
model.set_weights(snapshots._weights)
np.savez("mean.npz", *model.get_weights())
