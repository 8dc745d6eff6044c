"""One way of training in a separate process: `python -m bench.article.epochs '<options as JSON>'`.

Prints one line of JSON: the seconds of each epoch, without the first ones, which compile. `way` is one of

    stock      `fit` as the article calls it, with Keras's own four callbacks
    execution  the same with steps_per_execution over the whole epoch
    fitstop    Fitstop's engine inside `fit`, with all of Fitstop's callbacks, and after it the bare compiled loop
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import keras
import numpy as np

from shared.events import read_events
from shared.volume import Volume
from tests.support.jobs import claim, learnable_frame, put_dataset, put_job, small_spec
from tests.support.runs import run_context
from worker.training.callbacks import Callbacks
from worker.training.callbacks.resume_saver import ResumeSaver
from worker.training.callbacks.rules import make_rules
from worker.training.data.rows import Data, Part
from worker.training.engine import prepare_engine
from worker.training.engine.device import prepare_tensorflow
from worker.training.engine.plan import decide_plan
from worker.training.extend import adapt_point
from worker.training.fit_settings import fit_settings_of
from worker.training.models.build import build_model
from worker.training.order import permutation
from worker.training.resume.session import ResumeSession
from worker.training.resume.state import build_variables

FEATURES = 12


@dataclass(frozen=True)
class Options:
    """What is trained, how, and for how many epochs.

    `saves`: whether each epoch ends with a resume point; None applies the product's own rule. `is_paired`: the bare
    loop runs one epoch directly after each of Fitstop's epochs, instead of all at the end.
    """

    way: str
    rows: int
    layers: list[int]
    batch_size: int
    epochs: int
    first: int = 2
    saves: bool | None = None
    checkpoints: bool = True
    is_paired: bool = False


def rows_of(count: int) -> tuple[Any, Any]:
    """Inputs float32 of shape (count, 12) and a target of 0 and 1 that can be learned."""
    chance = np.random.default_rng(1)
    x = chance.standard_normal((count, FEATURES), dtype="f4")
    y = (np.sin(2 * x[:, :1]) + x[:, 1:2] * x[:, 2:3] + 0.5 * chance.standard_normal((count, 1)) > 0).astype("f4")
    return x, y


def stock(options: Options) -> dict[str, list[float]]:
    x, y = rows_of(options.rows + options.rows // 4)
    model = keras.Sequential([keras.Input((FEATURES,))])
    for units in options.layers:
        model.add(keras.layers.Dense(units, activation="relu"))
    model.add(keras.layers.Dense(1, activation="sigmoid"))
    steps = -(-options.rows // options.batch_size)
    model.compile(
        "adam", "binary_crossentropy",
        metrics=["accuracy", keras.metrics.Precision(), keras.metrics.Recall()],
        steps_per_execution=steps if options.way == "execution" else 1,
    )  # fmt: skip
    ends = _Ends()
    with tempfile.TemporaryDirectory() as folder:
        model.fit(
            x[: options.rows], y[: options.rows], batch_size=options.batch_size, epochs=options.epochs + options.first,
            validation_data=(x[options.rows :], y[options.rows :]), verbose=0,
            callbacks=[
                keras.callbacks.ModelCheckpoint(folder + "/m.keras", monitor="val_accuracy", save_best_only=True),
                keras.callbacks.ReduceLROnPlateau(patience=10),
                keras.callbacks.EarlyStopping(monitor="val_accuracy", patience=1000),
                keras.callbacks.CSVLogger(folder + "/log.csv"),
                ends,
            ],
        )  # fmt: skip
    return {"epochs": ends.seconds[options.first :]}


class _Ends(keras.callbacks.Callback):
    """The seconds, and the CPU seconds, of each epoch, without the time that `between` takes after it."""

    def __init__(self, between: Callable[[int], float] | None = None) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self.cpu: list[float] = []
        self.bare: list[float] = []
        self.bare_cpu: list[float] = []
        self._between = between
        self._began = self._cpu_began = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if not self.seconds:
            self._begin()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seconds.append(time.perf_counter() - self._began)
        self.cpu.append(time.process_time() - self._cpu_began)
        if self._between is not None:
            began = time.process_time()
            self.bare.append(self._between(epoch))
            self.bare_cpu.append(time.process_time() - began)
        self._begin()

    def _begin(self) -> None:
        self._began, self._cpu_began = time.perf_counter(), time.process_time()


def fitstop(options: Options) -> dict[str, list[float]]:
    x, y = rows_of(options.rows + options.rows // 4)
    data = Data(
        Part({"rows": x[: options.rows]}, y[: options.rows]),
        Part({"rows": x[options.rows :]}, y[options.rows :]),
    )
    if options.saves is not None:
        ResumeSaver._is_due = lambda *_: options.saves  # type: ignore[method-assign, assignment]
    with tempfile.TemporaryDirectory() as folder:
        volume = Volume(Path(folder))
        put_dataset(volume, learnable_frame())
        # A real job of these sizes has enough steps to pay for XLA's compile. The few epochs measured here do not.
        hyperparameters = {"batch_size": options.batch_size, "epochs": options.epochs + options.first, "xla": True}
        callbacks: dict[str, Any] = {"early_stopping": {"patience": 1000}}
        if not options.checkpoints:
            callbacks["model_checkpoint"] = None
        job = put_job(volume, small_spec(hyperparameters=hyperparameters, callbacks=callbacks))
        record = job.record()
        assert record is not None
        spec = record.data_spec.model_copy(
            update={
                "model": record.data_spec.model.model_copy(update={"layers": tuple(options.layers)}),
                "hyperparameters": record.data_spec.hyperparameters.model_copy(
                    update={"batch_size": options.batch_size}
                ),
            }
        )
        widths = [FEATURES, *options.layers, 1]
        parameters = sum((before + 1) * after for before, after in pairwise(widths))
        assert record.task is not None
        task = record.task.model_copy(update={"parameters": parameters, "features": FEATURES})
        record = record.model_copy(update={"spec": spec, "task": task})
        attempt = claim(job)
        with run_context(attempt, record) as run:
            plan, settings = decide_plan(record, data), fit_settings_of(record)
            prepare_tensorflow(plan)
            model = build_model(record, data)
            build_variables(model, data.train.first_row)
            engine: Any = prepare_engine(run, model, data, settings, plan)
            resume = ResumeSession(run, model, settings, partial(adapt_point, record, model))
            all_callbacks = Callbacks(run, resume, make_rules(run))
            floor = partial(bare_epoch, engine, record.data_spec.hyperparameters.seed)
            ends = _Ends(floor if options.is_paired else None)
            all_callbacks.in_order.append(ends)
            with all_callbacks:
                engine.fit(all_callbacks, options.epochs + options.first)
                all_callbacks.finish()
            assert sum(event.type == "epoch" for _, event in read_events(attempt.events_file))
            bare = ends.bare or [floor(epoch) for epoch in range(options.first + options.epochs)]
    return {"epochs": ends.seconds[options.first :], "bare": bare[options.first :]}


def bare_epoch(engine: Any, seed: int, epoch: int) -> float:
    """The seconds of one epoch of the same programs without anything around them: the floor."""
    began = time.perf_counter()
    training, validation = engine._training, engine._validation
    data = engine._data
    training.begin(permutation(seed, epoch, engine._rows), data.train.draw(seed, epoch))
    for block in range(-(-training.full_batches // training.batches_per_block)):
        left = min(training.batches_per_block, training.full_batches - block * training.batches_per_block)
        done, _ = engine._train(training.block(block), 0, left, block == 0)
        int(done)
    if training.tail() is not None:
        engine._train_tail(training.tail())
    validation.begin(None, data.validation.draw(0, 0))
    logs, _ = engine._validate(validation.block(0), 0, validation.full_batches, True)
    if validation.tail() is not None:
        logs = engine._validate_tail(validation.tail())
    float(logs["loss"])
    return time.perf_counter() - began


def measured(options: Options) -> dict[str, list[float]]:
    """Measure `options` in a separate, fresh process."""
    import subprocess

    printed = subprocess.run(
        [sys.executable, "-m", "bench.article.epochs", json.dumps(asdict(options))],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True,
    ).stdout  # fmt: skip
    found: dict[str, list[float]] = json.loads(printed.splitlines()[-1])
    return found


def median_of(found: list[dict[str, list[float]]], name: str) -> list[float]:
    """The median epoch of each round."""
    return [statistics.median(one[name]) for one in found]


if __name__ == "__main__":
    asked = Options(**json.loads(sys.argv[1]))
    sys.stdout.write(json.dumps(fitstop(asked) if asked.way == "fitstop" else stock(asked)) + "\n")
