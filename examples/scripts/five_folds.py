"""Cross-validation in five folds; the mean is written to a file."""

import json
from pathlib import Path

import keras
import numpy as np
from sklearn.datasets import load_wine
from sklearn.model_selection import StratifiedKFold

keras.utils.set_random_seed(5)
x, y = load_wine(return_X_y=True)
x = (x - x.mean(axis=0)) / x.std(axis=0)

scores = []
for fold, (train, test) in enumerate(StratifiedKFold(5, shuffle=True, random_state=5).split(x, y)):
    model = keras.Sequential([keras.Input((13,)), keras.layers.Dense(12, activation="relu"), keras.layers.Dense(3)])
    model.compile(
        keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
    )
    stop = keras.callbacks.EarlyStopping(monitor="val_accuracy", patience=3, restore_best_weights=True)
    model.fit(x[train], y[train], validation_data=(x[test], y[test]), epochs=12, batch_size=16, callbacks=[stop])
    scores.append(model.evaluate(x[test], y[test], verbose=0)[1])
    print(f"fold {fold + 1}: {scores[-1]:.4f}, random {np.random.rand():.6f}")
    Path(f"fold-{fold + 1}.json").write_text(json.dumps({"accuracy": scores[-1], "stopped": stop.stopped_epoch}))
Path("scores.json").write_text(json.dumps({"mean": float(np.mean(scores)), "folds": scores}))
