"""A PyDataset that makes its batches when they are asked for."""

import keras
import numpy as np

keras.utils.set_random_seed(11)


class Waves(keras.utils.PyDataset):
    """Batch number i of an epoch is the same whenever it is asked for."""

    def __init__(self, batches: int, **named) -> None:
        super().__init__(**named)
        self.batches = batches
        self.epoch = 0

    def on_epoch_end(self) -> None:
        self.epoch += 1

    def __len__(self) -> int:
        return self.batches

    def __getitem__(self, index: int):
        rng = np.random.default_rng([self.epoch, index])
        x = rng.uniform(-3, 3, size=(16, 4)).astype("float32")
        return x, np.sin(x).sum(axis=1, keepdims=True)


model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(32, activation="relu"), keras.layers.Dense(1)])
model.compile(keras.optimizers.Adam(0.01), "mse")
stop = keras.callbacks.EarlyStopping(patience=4, restore_best_weights=True)
model.fit(Waves(12), validation_data=Waves(3), epochs=12, callbacks=[stop])
model.save_weights("waves.weights.h5")
