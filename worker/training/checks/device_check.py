"""`python -m worker.training.checks.device_check GPU|CPU`: train two small models on that device.

Prints one line of JSON: versions, the device, and the seconds of each model. Exit status 1 if the device cannot train.

One has convolutions, because a wrong cuDNN fails only in Conv2D (aws/deep-learning-containers#6418). Both use XLA,
because the PTX of an older compiler fails only there (tensorflow#111958).
"""

import json
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import keras
import numpy as np
import tensorflow as tf


def main() -> int:
    """Train, and print the result."""
    place = sys.argv[1]
    if place == "GPU" and not tf.config.list_physical_devices("GPU"):
        sys.stderr.write(
            "this is the CPU build of TensorFlow: install 'fitstop[gpu]'\n"
            if not tf.test.is_built_with_cuda()
            else "TensorFlow finds no GPU, though the driver shows one: a CUDA library is missing\n"
        )
        return 1
    with tf.device(f"/{place}:0"):
        seconds = {
            "convolution": _time_training(_convolution(), (32, 16, 16, 1)),
            "dense": _time_training(_dense(), (32, 16)),
        }
    build = tf.sysconfig.get_build_info()
    report = {
        "tensorflow": f"{tf.__version__}, Keras {keras.__version__}, "
        + (f"CUDA {build['cuda_version']}" if "cuda_version" in build else "for the CPU alone"),
        "carried": _compiled_capabilities(build),
        "cudnn": _cudnn(),
        "device": place,
        "seconds": seconds,
    }
    sys.stdout.write(json.dumps(report) + "\n")
    return 0


def _convolution() -> Any:
    return keras.Sequential(
        [keras.layers.Conv2D(8, 3, activation="relu"), keras.layers.Flatten(), keras.layers.Dense(1)]
    )


def _dense() -> Any:
    return keras.Sequential([keras.layers.Dense(16, activation="relu"), keras.layers.Dense(1)])


def _time_training(model: Any, shape: tuple[int, ...]) -> float:
    """Seconds to compile the model and train one epoch on random float32 rows of `shape`. Raises ArithmeticError."""
    began = time.monotonic()
    chance = np.random.default_rng(0)
    rows = chance.normal(size=shape).astype("float32")
    model.compile(optimizer="adam", loss="mse", jit_compile=True)
    loss = model.fit(rows, np.zeros((len(rows), 1), "float32"), epochs=1, batch_size=16, verbose=0).history["loss"][-1]
    if not np.isfinite(loss):
        raise ArithmeticError(f"a small model of random rows has the loss {loss}")
    return time.monotonic() - began


def _compiled_capabilities(build: Any) -> list[str]:
    """The compute capabilities that this TensorFlow has code for, such as `sm_89`."""
    return list(build.get("cuda_compute_capabilities", []))


def _cudnn() -> str:
    try:
        return version("nvidia-cudnn-cu12")
    except PackageNotFoundError:
        return ""


if __name__ == "__main__":
    raise SystemExit(main())
