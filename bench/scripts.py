"""A script's epochs in plain Python and as a job on each engine: `python -m bench.scripts [--rounds 2 --epochs 8]`.

    dense          5,169 rows of 12 numbers, layers of 64, 64 and 64, batches of 32, four of Keras's callbacks
    convolutional  4,000 images of 28 x 28, two convolutions, batches of 32

Both are subclassed models. Each way runs in a separate process, in turn: the script by itself, as a job on the fused
engine, and as a job with a callback that acts after batches, and so trains on the stock engine. With `jit_compile=True`
the dense script asks for XLA. Prints the median of the epochs from the third on, with validation, in the median round.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from shared.volume import Volume
from tests.support.jobs import claim
from tests.support.scripts import put_script_job

_FIRST = 2
_BEGIN = """
import json, pathlib, time
import keras, numpy as np
keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)
class Ends(keras.callbacks.Callback):
    def __init__(self): super().__init__(); self.times = []
    def on_epoch_end(self, epoch, logs=None): self.times.append(time.perf_counter())
class AfterBatches(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None): pass
class Own(keras.Model):
    def __init__(self, layers): super().__init__(); self.parts = layers
    def call(self, inputs):
        for part in self.parts: inputs = part(inputs)
        return inputs
"""
_SCRIPTS = {
    "dense": """
x = rng.normal(size=(6462, 12)).astype("float32")
y = (np.sin(2 * x[:, :1]) + x[:, 1:2] * x[:, 2:3] > 0).astype("float32")
hidden = [keras.layers.Dense(64, activation="relu") for _ in range(3)]
model = Own([*hidden, keras.layers.Dense(1, activation="sigmoid")])
model.compile("adam", "binary_crossentropy", metrics=["accuracy"], jit_compile=JIT)
""",
    "convolutional": """
x = rng.random((5000, 28, 28, 1), dtype="float32"); y = rng.integers(0, 10, 5000)
model = Own([keras.layers.Conv2D(16, 3, activation="relu"), keras.layers.MaxPooling2D(),
             keras.layers.Conv2D(32, 3, activation="relu"), keras.layers.GlobalAveragePooling2D(),
             keras.layers.Dense(10, activation="softmax")])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=JIT)
""",
}
_FIT = """
ends = Ends()
callbacks = [keras.callbacks.ModelCheckpoint("best.weights.h5", save_best_only=True, save_weights_only=True),
             keras.callbacks.ReduceLROnPlateau(patience=20), keras.callbacks.EarlyStopping(patience=50),
             keras.callbacks.CSVLogger("log.csv"), ends, MORE]
model.fit(x, y, validation_split=0.2, epochs=EPOCHS, batch_size=32, callbacks=callbacks, verbose=0)
pathlib.Path("times.json").write_text(json.dumps(ends.times))
"""
# By way: whether it is a job, the script's `jit_compile`, and its last callback.
_WAYS = {
    "by itself": (False, "False", "keras.callbacks.TerminateOnNaN()"),
    "stock engine": (True, "False", "AfterBatches()"),
    "fused engine": (True, "False", "keras.callbacks.TerminateOnNaN()"),
    "fused, jit_compile=True": (True, "True", "keras.callbacks.TerminateOnNaN()"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=8)
    asked = parser.parse_args()
    for kind in _SCRIPTS:
        rounds = [{way: epoch_seconds(kind, way, asked.epochs) for way in _WAYS} for _ in range(asked.rounds)]
        for way in _WAYS:
            figures = [one[way] for one in rounds]
            print(
                f"{kind}, {way}: {statistics.median(figures):.4f} s of {[round(one, 4) for one in figures]}", flush=True
            )


def epoch_seconds(kind: str, way: str, epochs: int) -> float:
    """The median epoch of one process."""
    is_job, jit, more = _WAYS[way]
    text = (_BEGIN + _SCRIPTS[kind] + _FIT).replace("JIT", jit).replace("MORE", more).replace("EPOCHS", str(epochs))
    with tempfile.TemporaryDirectory(prefix="fitstop-bench-") as name:
        folder = Path(name)
        times = _as_job(folder, text) if is_job else _by_itself(folder, text)
        ends: list[float] = json.loads(times.read_text())
    return statistics.median(after - before for before, after in zip(ends[_FIRST - 1 :], ends[_FIRST:], strict=False))


def _by_itself(folder: Path, text: str) -> Path:
    (folder / "train.py").write_text(text)
    subprocess.run([sys.executable, "train.py"], cwd=folder, check=True, capture_output=True)
    return folder / "times.json"


def _as_job(folder: Path, text: str) -> Path:
    attempt = claim(put_script_job(Volume(folder / "volume"), text))
    settings = {"FITSTOP_ALLOW_CODE": "unboxed", "FITSTOP_CACHE": str(folder / "cache")}
    command = [sys.executable, "-m", "worker.training", str(attempt.path)]
    subprocess.run(command, env={**os.environ, **settings}, check=True, capture_output=True)
    return attempt.path / "files" / "times.json"


if __name__ == "__main__":
    main()
