"""The article's job as a user would write it in stock Keras: `python article_script.py winequalityN.csv SEED [JSON]`.

The JSON may set other `layers` and `epochs`, a `dropout` and a `learning_rate`. Prints one line of JSON: the best
val_accuracy, its epoch and the last epoch.
"""

import json
import sys
import tempfile

import pandas as pd
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from tensorflow import keras

path, seed = sys.argv[1], int(sys.argv[2])
chosen = {"layers": [64, 64, 64], "dropout": 0.0, "learning_rate": 0.001, "epochs": 1000}
chosen |= json.loads([*sys.argv, "{}"][3])
keras.utils.set_random_seed(seed)
frame = pd.read_csv(path).dropna()
frame["type"] = (frame["type"] == "white").astype(int)
target = (frame.pop("quality") >= 6).astype(int)
train_x, test_x, train_y, test_y = train_test_split(frame, target, test_size=0.2, random_state=42)
scaler = StandardScaler()
train_x, test_x = scaler.fit_transform(train_x), scaler.transform(test_x)

model = keras.Sequential()
for units in chosen["layers"]:
    model.add(keras.layers.Dense(units, activation="relu"))
    if chosen["dropout"]:
        model.add(keras.layers.Dropout(chosen["dropout"]))
model.add(keras.layers.Dense(1, activation="sigmoid"))
model.compile(
    loss="binary_crossentropy",
    optimizer=keras.optimizers.Adam(chosen["learning_rate"]),
    metrics=["accuracy", keras.metrics.Precision(name="precision"), keras.metrics.Recall(name="recall")],
)
with tempfile.TemporaryDirectory() as folder:
    history = model.fit(
        train_x,
        train_y,
        epochs=chosen["epochs"],
        validation_data=(test_x, test_y),
        verbose=2,
        callbacks=[
            keras.callbacks.ModelCheckpoint(
                folder + "/model-{epoch:02d}-{val_accuracy:.2f}.keras", monitor="val_accuracy", save_best_only=True
            ),
            keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.1, patience=10, min_lr=0.00001),
            keras.callbacks.EarlyStopping(monitor="val_accuracy", min_delta=0.001, patience=10),
            keras.callbacks.CSVLogger(folder + "/training_log.csv"),
        ],
    ).history
best = max(history["val_accuracy"])
told = {"best": best, "best_epoch": history["val_accuracy"].index(best) + 1, "last_epoch": len(history["loss"])}
sys.stdout.write(json.dumps(told) + "\n")
