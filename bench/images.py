"""Epochs of images and arrays against stock Keras: `python -m bench.images [--images 5000 --side 224 --rounds 3]`.

    (a) JPEG files in class folders: stock `fit` over `image_dataset_from_directory` with prefetch, Fitstop, and the
        bare loop over the decoded arrays after each of Fitstop's epochs
    (b) grey images of 28 x 28 in memory, like those of Fashion-MNIST: stock `fit` on arrays, and Fitstop
    (c) the same images with augmentation and without

The JPEG files have the spectrum of photographs and about 20 kB each at 224 x 224. The network computes on 28 x 28 in
each: its first layer averages larger images down to that size (`--inside` sets another). Each way runs in a separate
process, in turn, for several rounds. The figures are the median of the epochs from the third on, in the median round.
Prints seconds, CPU seconds and ratios; on a busy machine the CPU seconds say more.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

_FIRST = 2
_CLASSES = 10
_GREY_SIDE = 28
_PHOTOS = 200
_AUGMENT = {"flip_horizontal": True, "shift": 0.1, "rotation": 10, "zoom": 0.1, "brightness": 0.1, "contrast": 0.1}


@dataclass(frozen=True)
class Options:
    """One way of training: `directory` and `arrays` are stock Keras, `fitstop` is Fitstop's engine inside `fit`."""

    way: str
    images: int
    side: int
    is_colour: bool
    epochs: int
    is_augmented: bool = False
    inside: int = 28


def pixels_of(options: Options) -> tuple[Any, Any]:
    """Create images like photographs: uint8 of shape (images, side, side, channels), and class numbers."""
    chance = np.random.default_rng(2)
    some = [_photo(options.side, 3 if options.is_colour else 1, chance) for _ in range(min(options.images, _PHOTOS))]
    shifts = chance.integers(0, options.side, (options.images, 2))
    pixels = np.stack([np.roll(some[n % len(some)], tuple(shift), (0, 1)) for n, shift in enumerate(shifts)])
    return pixels, np.arange(options.images) % _CLASSES


def _photo(side: int, channels: int, chance: np.random.Generator) -> Any:
    """Noise of amplitude 1/f, as photographs have on average, mostly the same in all channels."""
    vertical, horizontal = np.meshgrid(np.fft.fftfreq(side), np.fft.rfftfreq(side), indexing="ij")
    frequency = np.hypot(vertical, horizontal)
    amplitude = np.divide(1, frequency, out=np.zeros_like(frequency), where=frequency > 0)
    phases = np.exp(2j * np.pi * chance.random((1 + channels, *frequency.shape)))
    common, *own = np.fft.irfft2(amplitude * phases, s=(side, side))
    mixed = np.stack([common + 0.3 * one for one in own], axis=-1)
    return np.clip(128 + 50 * mixed / mixed.std(), 0, 255).astype(np.uint8)


def network(options: Options) -> Any:
    """A small network, whose first layer shrinks large images."""
    from keras import Input, Sequential, layers

    shape = (options.side, options.side, 3 if options.is_colour else 1)
    shrink = [layers.AveragePooling2D(options.side // options.inside)] if options.side > options.inside else []
    return Sequential(
        [
            Input(shape), layers.Rescaling(1 / 255), *shrink,
            layers.Conv2D(16, 3, activation="relu"), layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu"), layers.GlobalAveragePooling2D(),
            layers.Dense(_CLASSES, activation="softmax"),
        ]
    )  # fmt: skip


def stock(options: Options) -> dict[str, list[float]]:
    """Train with Keras's own `fit`."""
    import keras

    from bench.article.epochs import _Ends

    pixels, numbers = pixels_of(options)
    model, ends = network(options), _Ends()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    train = options.images * 4 // 5
    with tempfile.TemporaryDirectory() as folder:
        if options.way == "arrays":
            parts: list[Any] = [(pixels[:train], numbers[:train]), (pixels[train:], numbers[train:])]
            model.fit(
                *parts[0], batch_size=32, validation_data=parts[1], epochs=options.epochs, verbose=0, callbacks=[ends]
            )
        else:
            parts = [
                keras.utils.image_dataset_from_directory(
                    _write(Path(folder) / name, pixels[part], numbers[part]), verbose=False,
                    image_size=(options.side, options.side), batch_size=32,
                ).prefetch(8)
                for name, part in (("train", slice(train)), ("validation", slice(train, None)))
            ]  # fmt: skip
            model.fit(parts[0], validation_data=parts[1], epochs=options.epochs, verbose=0, callbacks=[ends])
    return {"epochs": ends.seconds[_FIRST:], "cpu": ends.cpu[_FIRST:]}


def _write(folder: Path, pixels: Any, numbers: Any) -> Path:
    from tests.support.kinds import png

    for place, (image, number) in enumerate(zip(pixels, numbers, strict=True)):
        file = folder / str(number) / f"{place}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(image, "JPEG"))
    return folder


def fitstop(options: Options) -> dict[str, list[float]]:
    """Train a job with all of its callbacks, and run the bare compiled loop after each epoch."""
    from bench.article.epochs import _Ends, bare_epoch
    from shared.settings import Settings
    from shared.volume import Volume
    from tests.support.jobs import claim, put_job
    from tests.support.runs import run_context
    from worker.training.callbacks import Callbacks
    from worker.training.callbacks.rules import make_rules
    from worker.training.data.load import load_data
    from worker.training.engine import prepare_engine
    from worker.training.engine.device import prepare_tensorflow
    from worker.training.engine.plan import decide_plan
    from worker.training.extend import adapt_point
    from worker.training.fit_settings import fit_settings_of
    from worker.training.models.build import build_model
    from worker.training.resume.session import ResumeSession
    from worker.training.resume.state import build_variables

    with tempfile.TemporaryDirectory() as folder:
        volume = Volume(Path(folder) / "volume")
        attempt = claim(put_job(volume, _job(volume, options)))
        record = attempt.job.record()
        assert record is not None
        with run_context(attempt, record) as run:
            data = load_data(attempt, record, Settings(cache=Path(folder) / "cache"))
            plan, settings = decide_plan(record, data), fit_settings_of(record)
            prepare_tensorflow(plan)
            model = build_model(record, data)
            build_variables(model, data.train.first_row)
            engine: Any = prepare_engine(run, model, data, settings, plan)
            resume = ResumeSession(run, model, settings, partial(adapt_point, record, model))
            callbacks = Callbacks(run, resume, make_rules(run))
            ends = _Ends(partial(bare_epoch, engine, record.data_spec.hyperparameters.seed))
            callbacks.in_order.append(ends)
            with callbacks:
                engine.fit(callbacks, options.epochs)
                callbacks.finish()
    return {
        "epochs": ends.seconds[_FIRST:],
        "cpu": ends.cpu[_FIRST:],
        "bare": ends.bare[_FIRST:],
        "bare_cpu": ends.bare_cpu[_FIRST:],
    }


def _job(volume: Any, options: Options) -> dict[str, Any]:
    """Put the dataset on the volume, and return the spec of the job."""
    from tests.support.kinds import png, put_images

    pixels, numbers = pixels_of(options)
    kind = "JPEG" if options.is_colour else "PNG"
    images: dict[str, list[bytes]] = {}
    for image, number in zip(pixels, numbers, strict=True):
        images.setdefault(str(number), []).append(png(image if options.is_colour else image[..., 0], kind))
    put_images(volume, images, "bench")
    return {
        "dataset": {"kind": "images", "id": "bench", "augment": _AUGMENT if options.is_augmented else None},
        "model": {"kind": "keras", "config": json.loads(network(options).to_json())},
        "hyperparameters": {"epochs": options.epochs, "batch_size": 32},
        "callbacks": {"early_stopping": None},
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=5000, help="JPEG files")
    parser.add_argument("--side", type=int, default=224, help="their height and width")
    parser.add_argument("--inside", type=int, default=_GREY_SIDE, help="side that the network computes on")
    parser.add_argument("--grey-images", type=int, default=60_000)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="abc", help="the comparisons to make")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.way:
        options = Options(**json.loads(asked.way))
        found = fitstop(options) if options.way == "fitstop" else stock(options)
        sys.stdout.write(json.dumps(found) + "\n")
        return
    jpeg = partial(
        Options, images=asked.images, side=asked.side, is_colour=True, epochs=asked.epochs, inside=asked.inside
    )
    grey = partial(Options, images=asked.grey_images, side=_GREY_SIDE, is_colour=False, epochs=asked.epochs)
    if "a" in asked.only:
        title = f"(a) {asked.images} JPEGs of {asked.side} x {asked.side}"
        _compare(title, asked.rounds, jpeg("directory"), jpeg("fitstop"))
    if "b" in asked.only:
        title = f"(b) {asked.grey_images} images of 28 x 28 in memory"
        _compare(title, asked.rounds, grey("arrays"), grey("fitstop"))
    if "c" in asked.only:
        _compare("(c) the same, augmented", asked.rounds, grey("fitstop", is_augmented=True), grey("fitstop"))


def _compare(title: str, rounds: int, one: Options, other: Options) -> None:
    """Measure both in turn, each time in a fresh process."""
    firsts, seconds = [], []
    for _ in range(rounds):
        firsts.append(_measure(one))
        seconds.append(_measure(other))
    first, second = (_median(found, "epochs") for found in (firsts, seconds))
    bare, bare_cpu = (_against(seconds, *names) for names in (("epochs", "bare"), ("cpu", "bare_cpu")))
    cpu = [_median(found, "cpu") for found in (firsts, seconds)]
    names = {True: "augmented", False: one.way}
    sys.stdout.write(
        f"{title}: {names[one.is_augmented]} {first:.3f} s, Fitstop {second:.3f} s an epoch, "
        f"{first / second:.2f} times; of all cores {cpu[0]:.3f} s and {cpu[1]:.3f} s, {cpu[0] / cpu[1]:.2f} times; "
        f"Fitstop against its bare loop {bare:.2f} times, of all cores {bare_cpu:.2f}\n"
    )
    sys.stdout.flush()


def _measure(options: Options) -> dict[str, list[float]]:
    command = [sys.executable, "-m", "bench.images", "--way", json.dumps(asdict(options))]
    printed = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout
    found: dict[str, list[float]] = json.loads(printed.splitlines()[-1])
    return found


def _against(found: list[dict[str, list[float]]], name: str, other: str) -> float:
    """The median ratio of the epochs by two measures."""
    return statistics.median(a / b for one in found for a, b in zip(one[name], one[other], strict=True))


def _median(found: list[dict[str, list[float]]], name: str) -> float:
    return statistics.median(statistics.median(one[name]) for one in found)


if __name__ == "__main__":
    main()
