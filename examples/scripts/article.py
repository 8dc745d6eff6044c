"""The article's network with its four callbacks, on the breast cancer data that comes with scikit-learn."""

import keras
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

keras.utils.set_random_seed(42)

features, target = load_breast_cancer(return_X_y=True)
x_train, x_test, y_train, y_test = train_test_split(features, target, test_size=0.2, random_state=42)
scaler = StandardScaler().fit(x_train)
x_train, x_test = scaler.transform(x_train), scaler.transform(x_test)

model = keras.Sequential(
    [
        keras.Input((x_train.shape[1],)),
        keras.layers.Dense(32, activation="relu"),
        keras.layers.Dropout(0.2),
        keras.layers.Dense(16, activation="relu"),
        keras.layers.Dense(1, activation="sigmoid"),
    ]
)
model.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])

cb_checkpoint = keras.callbacks.ModelCheckpoint(
    "model-{epoch:02d}-{val_accuracy:.2f}.keras", monitor="val_accuracy", mode="max", save_best_only=True
)
cb_reducelr = keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.1, patience=3, min_lr=0.00001)
cb_earlystop = keras.callbacks.EarlyStopping(monitor="val_accuracy", mode="max", min_delta=0.001, patience=10)
cb_csvlogger = keras.callbacks.CSVLogger("training_log.csv", separator=",", append=False)

history = model.fit(
    x_train,
    y_train,
    validation_data=(x_test, y_test),
    epochs=1000,
    batch_size=32,
    callbacks=[cb_checkpoint, cb_reducelr, cb_earlystop, cb_csvlogger],
)
print(f"stopped after {len(history.epoch)} epochs, best {max(history.history['val_accuracy']):.4f}")
print("evaluation:", model.evaluate(x_test, y_test))
model.save("last.keras")
