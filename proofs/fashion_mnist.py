"""Train on Fashion-MNIST: `python -m proofs.fashion_mnist FOLDER`, with the four published files in FOLDER.

The 70,000 images become a zip of PNG files, with `train/` and `test/` and a folder for each class. It is uploaded to a
real API, and a `cnn` job on it is posted and trained here. The best model must reach a validation accuracy of 0.91
within the patience, load in plain Keras, and evaluate on the test images, read by Keras's own loader.

Debian's package `dataset-fashion-mnist` installs the files in /usr/share/datasets/fashion-mnist.
"""

import argparse
import gzip
import http.client
import io
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from proofs.say import say
from shared.job_folder import AttemptFolder
from shared.manifest import Checkpoint, read_manifest
from shared.settings import Settings
from shared.volume import Volume
from tests.support.api_process import ApiProcess
from tests.support.jobs import claim
from tests.support.keys import AUTHORIZATION
from tests.support.kinds import png
from worker.training.run import run
from worker.training.stop_requests import StopRequests

_DEBIAN = Path("/usr/share/datasets/fashion-mnist")
_WANTED = 0.91
_PATIENCE = 4
_UPLOAD_SECONDS = 1800
_CLASSES = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
_JOB: dict[str, Any] = {
    "dataset": {"id": "fashion", "validation_fraction": 0.1},
    "model": {"kind": "cnn", "filters": [24, 48, 96]},
    "hyperparameters": {"epochs": 20, "batch_size": 128, "learning_rate": 0.003},
    "callbacks": {
        "reduce_lr_on_plateau": {"monitor": "val_accuracy", "patience": 1, "factor": 0.3},
        "early_stopping": {"monitor": "val_accuracy", "patience": _PATIENCE},
    },
}


def main() -> int:
    """Upload, train and evaluate; 0 if the wanted accuracy was reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=_DEBIAN)
    source = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as folder:
        best = _train(Path(folder), _zip(source))
        test_accuracy = _evaluate(Path(folder), best[0], source)
    accuracy = best[1].metrics["val_accuracy"]
    say(f"epoch {best[1].epoch}: validation accuracy {accuracy:.4f}, wanted {_WANTED} within patience {_PATIENCE}")
    say(f"plain Keras on the 10,000 test images: accuracy {test_accuracy:.4f}")
    return 0 if accuracy >= _WANTED else 1


def _zip(source: Path) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for part, prefix in (("train", "train"), ("test", "t10k")):
            images, labels = _read(source, prefix)
            for number, (image, label) in enumerate(zip(images, labels, strict=True)):
                archive.writestr(f"{part}/{_CLASSES[label]}/{number:05}.png", png(image))
    return content.getvalue()


def _read(source: Path, prefix: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Images of shape (images, 28, 28) and their class numbers, from files of the IDX format."""
    pixels = gzip.decompress((source / f"{prefix}-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((source / f"{prefix}-labels-idx1-ubyte.gz").read_bytes())
    return np.frombuffer(pixels, np.uint8, offset=16).reshape(-1, 28, 28), np.frombuffer(labels, np.uint8, offset=8)


def _train(folder: Path, content: bytes) -> tuple[Path, Checkpoint]:
    """Upload the zip, train, and return the file of the best model and its checkpoint."""
    volume = Volume(folder / "volume")
    api = ApiProcess(volume, "redis://127.0.0.1:1/0", folder / "api.log")
    api.start()
    try:
        began = time.monotonic()
        _upload(api, content)
        say(f"{len(content) / 1e6:.0f} MB uploaded in {time.monotonic() - began:.0f} s")
        posted = api.ask("POST", "/jobs", _JOB)
        assert posted.status == 202, posted.json
    finally:
        api.stop()
    attempt = claim(volume.job_folder(posted.json["id"]))
    began = time.monotonic()
    conclusion = run(attempt, StopRequests(attempt, 60), Settings(cache=folder / "cache"))
    assert conclusion.ending is not None
    assert conclusion.ending.status == "succeeded", conclusion.ending.error
    _report(attempt, time.monotonic() - began)
    manifest = read_manifest(attempt.manifest_file)
    assert manifest.best is not None
    best = manifest.find(manifest.best)
    assert best is not None
    return attempt.checkpoints / best.name, best


def _upload(api: ApiProcess, content: bytes) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=_UPLOAD_SECONDS)
    headers = {**AUTHORIZATION, "Content-Type": "application/zip"}
    connection.request("PUT", "/datasets/fashion", content, headers)
    answer = connection.getresponse()
    assert answer.status == 201, answer.read()
    connection.close()


def _report(attempt: AttemptFolder, seconds: float) -> None:
    say(f"trained in {seconds:.0f} s")
    say(attempt.training_log.read_text())


def _evaluate(folder: Path, model_file: Path, source: Path) -> float:
    """Evaluate the model, loaded only by Keras, on the test images in class folders, and return the accuracy."""
    import keras

    images, labels = _read(source, "t10k")
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        file = folder / "test" / _CLASSES[label] / f"{number:05}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(image))
    data = keras.utils.image_dataset_from_directory(
        folder / "test", color_mode="grayscale", image_size=(28, 28), batch_size=500, shuffle=False, verbose=False
    )
    loss_and_metrics = keras.models.load_model(model_file).evaluate(data, verbose=0, return_dict=True)
    return float(loss_and_metrics["accuracy"])


if __name__ == "__main__":
    raise SystemExit(main())
