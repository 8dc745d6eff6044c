"""Texts: the vocabulary is adapted before training, the words' order is the model's first layer."""

import keras
import numpy as np
import tensorflow as tf

keras.utils.set_random_seed(10)
rng = np.random.default_rng(10)
good, bad, plain = ["great", "lovely", "fine"], ["awful", "boring", "poor"], ["the", "film", "was", "a", "story", "of"]
labels = rng.integers(0, 2, size=300)
texts = tf.constant(
    [" ".join(rng.permutation([*rng.choice(plain, 4), *rng.choice(good if one else bad, 2)])) for one in labels]
)

words = keras.layers.TextVectorization(max_tokens=50, output_sequence_length=6)
words.adapt(texts)
model = keras.Sequential(
    [
        keras.Input((), dtype="string"),
        words,
        keras.layers.Embedding(50, 8, mask_zero=True),
        keras.layers.GlobalAveragePooling1D(),
        keras.layers.Dropout(0.3),
        keras.layers.Dense(1, activation="sigmoid"),
    ]
)
model.compile(keras.optimizers.Adam(0.02), "binary_crossentropy", metrics=["accuracy"])
history = model.fit(
    texts[:240], labels[:240], validation_data=(texts[240:], labels[240:]), epochs=10, batch_size=30,
    callbacks=[keras.callbacks.EarlyStopping(monitor="val_accuracy", patience=3)],
)  # fmt: skip
print(model.predict(tf.constant(["a great lovely film", "the story was awful"]), verbose=0).round(3).tolist())
model.save_weights("text.weights.h5")
