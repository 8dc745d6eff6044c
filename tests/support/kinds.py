"""Puts datasets of images and arrays on a volume as the API does, with a small job of each kind.

The images are scikit-learn's digits, 16 x 16 grey pixels. The arrays are the same digits as numbers.
"""

import hashlib
import io
import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from shared.dataset import ArrayProfile, DatasetInfo, ImageClass, ImagesProfile, ValueCount, hash_files
from shared.times import utc_now
from shared.volume import Volume
from tests.support.earlier import keras_bytes, put_earlier_job, small_cnn

Array = npt.NDArray[Any]
Split = Literal["", "train", "validation", "test"]

_ROLES: dict[str, Literal["target", "sample_weight"]] = {"y": "target", "sample_weight": "sample_weight"}
_KEPT: dict[str, Any] = {"source_name": None, "sha256": "0" * 64, "bytes": 1}
_SIDE = 16
# The job of the kind "earlier job" trains the best model of this job further.
EARLIER_JOB = "job_01JZZZZZZZZZZZZZZZZZZZZZZZ"

AUGMENT: dict[str, Any] = {
    "flip_horizontal": True,
    "flip_vertical": True,
    "shift": 0.1,
    "rotation": 15,
    "zoom": 0.1,
    "brightness": 0.1,
    "contrast": 0.2,
    "cutout": 0.25,
}


def png(pixels: Array, kind: str = "PNG", **options: Any) -> bytes:
    """The pixels as an encoded image."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, kind, **options)
    return content.getvalue()


def put_images(
    volume: Volume,
    images: Mapping[str, list[bytes]],
    dataset_id: str = "digits",
    splits: Callable[[str, int], Split] = lambda _, __: "",
) -> DatasetInfo:
    """Put encoded images, given by class. `splits` returns the part of an image, from its class and number in it."""
    rows = []
    for name, encoded in images.items():
        for number, content in enumerate(encoded):
            with Image.open(io.BytesIO(content)) as image:
                channels, size = len(image.getbands()), image.size
            rows.append((f"{name}/{number}.png", name, splits(name, number), content, *size, channels))
    names = ["path", "label", "split", "image", "width", "height", "channels"]
    frame = pd.DataFrame(rows, columns=names)
    folder = volume.datasets / dataset_id
    folder.mkdir()
    frame.drop(columns="channels").to_parquet(folder / "data.parquet")
    info = DatasetInfo(
        id=dataset_id,
        kind="images",
        created_at=utc_now(),
        source_format="zip",
        data_sha256=_sha256(folder / "data.parquet"),
        rows=len(frame),
        images=_images_profile(frame),
        **_KEPT,
    )
    (folder / "dataset.json").write_text(info.model_dump_json())
    return info


def _images_profile(frame: pd.DataFrame) -> ImagesProfile:
    classes = []
    for name, own in frame.groupby("label"):
        parts = own["split"].replace("", "unsplit").value_counts()
        classes.append(ImageClass(name=str(name), **{str(part): int(rows) for part, rows in parts.items()}))
    return ImagesProfile(
        classes=tuple(classes),
        width=(int(frame["width"].min()), int(frame["width"].max())),
        height=(int(frame["height"].min()), int(frame["height"].max())),
        channels={str(number): int(rows) for number, rows in frame["channels"].value_counts().items()},
        duplicates=0,
        in_train_and_validation=0,
    )


def put_arrays(volume: Volume, dataset_id: str, **arrays: Array) -> DatasetInfo:
    """Put arrays, by their names in an `.npz` file: inputs, `y`, `sample_weight`, and these with `_validation`."""
    folder = volume.datasets / dataset_id / "arrays"
    folder.mkdir(parents=True)
    profiles = [_array_profile(name, array) for name, array in arrays.items()]
    for profile, array in zip(profiles, arrays.values(), strict=True):
        np.save(folder / profile.file_name, array)
    return put_arrays_profile(volume, dataset_id, profiles)


def put_arrays_profile(volume: Volume, dataset_id: str, profiles: list[ArrayProfile]) -> DatasetInfo:
    """Write the `dataset.json` of arrays whose files are already on the volume."""
    folder = volume.datasets / dataset_id
    info = DatasetInfo(
        id=dataset_id,
        kind="arrays",
        created_at=utc_now(),
        source_format="npz",
        data_sha256=hash_files({one.file_name: _sha256(folder / "arrays" / one.file_name) for one in profiles}),
        rows=next(one.shape[0] for one in profiles if one.role == "target"),
        arrays=tuple(profiles),
        **_KEPT,
    )
    (folder / "dataset.json").write_text(info.model_dump_json())
    return info


def _array_profile(name: str, array: Array) -> ArrayProfile:
    own = name.removesuffix("_validation")
    is_class = own == "y" and array.dtype.kind in "iub"
    values = np.unique(array, return_counts=True) if is_class else None
    return ArrayProfile(
        name=own,
        role=_ROLES.get(own, "input"),
        part="training" if name == own else "validation",
        shape=array.shape,
        dtype=str(array.dtype),
        minimum=float(array.min()),
        maximum=float(array.max()),
        values=None
        if values is None
        else tuple(ValueCount(value=value.item(), rows=int(rows)) for value, rows in zip(*values, strict=True)),
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def digits(count: int = 200) -> tuple[Array, Array]:
    """The first digits: float32 from 0 to 1 of shape (count, 8, 8, 1), and their class numbers."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return (found.images[:count, ..., None] / 16).astype(np.float32), found.target[:count].astype(np.int64)


def digit_images(count: int = 200, classes: int = 10) -> dict[str, list[bytes]]:
    """The digits as PNG images of 16 x 16 pixels, by class."""
    images: dict[str, list[bytes]] = {}
    for pixels, number in zip(*digits(count), strict=True):
        if number < classes:
            large = np.kron(pixels[..., 0], np.ones((2, 2)))
            images.setdefault(str(number), []).append(png((large * 255).astype(np.uint8)))
    return dict(sorted(images.items()))


def put_kinds(volume: Volume, count: int = 200) -> None:
    """Put the datasets that the jobs of KINDS name."""
    x, y = digits(count)
    flat, last = x.reshape(count, -1), count - 40
    seed = np.random.default_rng(7)
    put_images(volume, digit_images(count))
    put_images(volume, digit_images(min(count, 120), 2), "two-digits")
    put_arrays(volume, "grey", x=x.astype(np.float16), y=y)
    put_arrays(
        volume,
        "two-inputs",
        pixels=flat[:last].astype(np.float64),
        rows=x[:last, ..., 0].mean(axis=2),
        y=(y[:last] > 4).astype(np.int64),
        sample_weight=seed.uniform(0.5, 1.5, last),
        pixels_validation=flat[last:].astype(np.float64),
        rows_validation=x[last:, ..., 0].mean(axis=2),
        y_validation=(y[last:] > 4).astype(np.int64),
    )
    put_earlier_job(volume, kind_job("augmented images"), _earlier_model(), EARLIER_JOB)
    outputs = flat @ seed.normal(size=(64, 3))
    put_arrays(volume, "quantities", x=flat, y=outputs.astype(np.float32))


@cache
def _earlier_model() -> bytes:
    return keras_bytes(small_cnn())


@cache
def _two_inputs_json() -> str:
    import keras

    pixels, rows = keras.Input((64,), name="pixels"), keras.Input((8,), name="rows")
    x = keras.layers.Concatenate()([pixels, rows])
    x = keras.layers.Dense(12, activation="relu", kernel_regularizer=keras.regularizers.L2(1e-3))(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Dropout(0.3)(x)
    output = keras.layers.Dense(1, activation="sigmoid")(x)
    return str(keras.Model({"pixels": pixels, "rows": rows}, output, name="two_inputs").to_json())


def two_inputs_config() -> dict[str, Any]:
    """The config of a Keras model with two inputs, batch normalization and dropout, as `to_json` writes it."""
    found: dict[str, Any] = json.loads(_two_inputs_json())
    return found


def kind_job(kind: str, **hyperparameters: Any) -> dict[str, Any]:
    """The spec of a small job on the datasets of `put_kinds`."""
    spec = _JOBS[kind]()
    usual = {"epochs": 3, "batch_size": 32, "learning_rate": 0.01}
    return {**spec, "hyperparameters": {**usual, **spec.get("hyperparameters", {}), **hyperparameters}}


_JOBS: dict[str, Callable[[], dict[str, Any]]] = {
    "augmented images": lambda: {
        "dataset": {"kind": "images", "id": "digits", "augment": AUGMENT},
        "model": {"kind": "cnn", "filters": [6, 8], "dense": [16], "dropout": 0.2},
        "hyperparameters": {"metrics": ["accuracy", "top_5_accuracy"]},
    },
    "mixed images": lambda: {
        "dataset": {"kind": "images", "id": "two-digits", "augment": {"mixup": 0.4, "flip_horizontal": True}},
        "model": {"kind": "cnn", "filters": [6, 8], "dense": [16]},
        "hyperparameters": {"class_weight": "balanced", "batch_size": 7},
    },
    "application": lambda: {
        "dataset": {"kind": "images", "id": "two-digits", "size": [32, 32], "channels": 3},
        "model": {"kind": "application", "name": "MobileNetV3Small"},
        "hyperparameters": {"epochs": 2, "batch_size": 16},
    },
    "two inputs": lambda: {
        "dataset": {"kind": "arrays", "id": "two-inputs"},
        "model": {"kind": "keras", "config": two_inputs_config()},
        "hyperparameters": {"optimizer": {"name": "sgd", "momentum": 0.9, "nesterov": True}},
    },
    "arrays of images": lambda: {
        "dataset": {"kind": "arrays", "id": "grey", "stratify": True},
        "model": {"kind": "cnn", "filters": [6, 8], "dense": []},
        "hyperparameters": {
            "class_weight": "balanced",
            "loss": {"name": "categorical_crossentropy", "label_smoothing": 0.1},
        },
    },
    "earlier job": lambda: {
        "dataset": {"kind": "images", "id": "two-digits", "augment": {"flip_horizontal": True}},
        "model": {"kind": "job", "job": EARLIER_JOB, "trainable": 3},
    },
    "several outputs": lambda: {
        "dataset": {"kind": "arrays", "id": "quantities"},
        "model": {"kind": "dense", "layers": [16], "batch_normalization": True},
        "hyperparameters": {"metrics": ["mae", "r2"], "optimizer": {"name": "adam", "clipnorm": 1.0}},
    },
}
KINDS = tuple(_JOBS)
