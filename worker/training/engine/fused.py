"""The fused engine: an epoch is a few calls of one compiled program.

Keras spends milliseconds in Python for every batch. The fused engine replaces only the function that `fit` calls for a
step, which then trains a whole epoch: `fit` sees an epoch of one step. `model.fit` is still the loop over the epochs,
the callbacks are still Keras's, and the model is still a plain Keras model.

Each call of the compiled program trains for about a quarter of a second, or up to 0.8 seconds if steps are long.
Between two calls the run can be stopped, saved and monitored.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import keras
import tensorflow as tf

from shared.job import EnginePlan
from worker.training.callbacks import Callbacks
from worker.training.data.rows import Data
from worker.training.engine.blocks import Blocks, blocks_of
from worker.training.engine.epoch_number import EpochNumber
from worker.training.engine.kept_traces import find_traces, pack_traces, store_traces, unpack_traces
from worker.training.engine.programs import tail_program, training_program, validation_program
from worker.training.fit_settings import FitSettings
from worker.training.resume.point import Place

try:
    # A private name, pinned by a test: with an adapter of our own, `fit` needs no dataset and no iterator.
    from keras.src.trainers.data_adapters.data_adapter import DataAdapter
except ImportError:  # this Keras has it elsewhere: the stock engine trains
    DataAdapter = None

_CALL_SECONDS = 0.25
# A call has an overhead, so several long steps share one.
_STEPS_TO_SHARE_A_CALL = 4
_LONG_CALL_SECONDS = 0.8
_MOST_GROWTH = 8


def missing_in_keras() -> str | None:
    """The first private name of Keras that this engine needs and the installed version lacks; None if it has all."""
    if DataAdapter is None:
        return "keras.src.trainers.data_adapters.data_adapter.DataAdapter"
    return _missing_in_model()


@cache
def _missing_in_model() -> str | None:
    """Look once: each new model changes the names of the next ones, which a script sees."""
    needed = ("train_function", "test_function", "make_train_function", "_get_metrics_result_or_logs")
    probe = keras.Sequential()
    return next((f"Model.{name}" for name in needed if not hasattr(probe, name)), None)


class FusedEngine:
    """Trains a model with compiled programs. Creating the engine compiles them; the model's state does not change.

    `device_bytes`: maximum bytes of data on the device. `traces`: the name of the job's traces in the store, which are
    loaded if they exist; `store_traces` stores new ones. Traces are neither loaded nor stored without a name, or if the
    data has several blocks, because the size of a block depends on the free memory.
    """

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        model: keras.Model,
        data: Data,
        settings: FitSettings,
        plan: EnginePlan,
        device_bytes: int,
        traces: str | None = None,
    ) -> None:
        self._model = model
        self._settings = settings
        self._data = data
        self._rows = len(data.train)
        self._is_xla = plan.xla
        self._epoch = EpochNumber()
        self._place = Place(0, 0)
        batch_size = min(settings.batch_size, self._rows)
        train, validation = data.train, data.validation
        self._training = blocks_of(train, batch_size, device_bytes)
        self._validation = blocks_of(validation, plan.validation_batch, device_bytes) if len(validation) else None
        prefetch = train.augment is not None and not plan.xla
        self._train = training_program(model, self._training.specs, train.batch, xla=plan.xla, prefetch=prefetch)
        self._validate: Any = None
        if self._validation is not None:
            self._validate = validation_program(model, self._validation.specs, validation.batch, xla=plan.xla)
        self._train_tail: Any = tail_program(model, model.train_step, train.batch)
        self._validate_tail: Any = tail_program(model, model.test_step, validation.batch)
        self._finite: Any = None
        self._training_pace, self._validation_pace = _Pace(), _Pace()
        both = (self._training, self._validation)
        is_one_block = all(one is None or one.batches_per_block == one.full_batches for one in both)
        self._traces = traces if is_one_block else None
        self._new_traces: bytes | None = None
        if self._traces:
            self._load_or_make_traces(self._traces)
        self._compile()

    @property
    def is_streaming(self) -> bool:
        """Whether the training data does not fit on the device, so that an epoch has several blocks."""
        return self._training.batches_per_block < self._training.full_batches

    def fit(self, callbacks: Callbacks, epochs: int) -> None:
        """Train from the run's position until a callback stops it or `epochs` (from 1) have finished."""
        self._place = callbacks.resume.place
        if self._validation is not None:
            callbacks.not_finite.weights_are_finite = lambda: self._finite
        with self._replace_steps(callbacks):
            self._model.fit(
                Placeholder(),
                validation_data=None if self._validation is None else Placeholder(),
                initial_epoch=self._place.epoch,
                epochs=epochs,
                callbacks=[self._epoch, *callbacks.in_order],
                shuffle=False,
                verbose=0,
            )

    @contextmanager
    def _replace_steps(self, callbacks: Callbacks) -> Iterator[None]:
        """While the context is open, `fit` trains and validates with the compiled programs."""
        model, reset, jit = self._model, self._model.reset_metrics, self._model.jit_compile
        model.jit_compile = self._is_xla
        model.make_test_function(force=True)
        model.train_function = partial(self._train_epoch, callbacks.steps_done)
        model.test_function = self._make_test_function(model.test_function, reset, callbacks.validated)
        # The programs return the metrics: without this, Keras would compute them a second time.
        model._get_metrics_result_or_logs = lambda logs: logs
        # The programs also reset the metrics.
        model.reset_metrics = lambda: None
        try:
            yield
        finally:
            model.train_function = model.test_function = None
            model.jit_compile = jit
            del model._get_metrics_result_or_logs, model.reset_metrics

    def _make_test_function(
        self, evaluate: Callable[[Any], Any], reset: Callable[[], None], validated: Callable[[int], None]
    ) -> Callable[[Any], Any]:
        """The model's test function: compiled for the validation of `fit`, Keras's own if a callback calls `evaluate`.

        `evaluate` is Keras's own test function, and `reset` its reset of the metrics.
        """
        last: Any = None

        def test_function(iterator: Any) -> Any:
            nonlocal last
            if isinstance(iterator, Placeholder):
                return self._validate_all(validated)
            if iterator is not last:
                last = iterator
                reset()
            return evaluate(iterator)

        return test_function

    def store_traces(self) -> None:
        """Store new traces for later jobs. Does nothing if the traces were loaded, or may not be stored."""
        if self._traces and self._new_traces:
            store_traces(self._traces, self._new_traces)

    def _load_or_make_traces(self, name: str) -> None:
        """Use the traces of an earlier job. If there are none, trace now, and use the packed form of the new traces.

        So the first job compiles exactly what later jobs load.
        """
        content = find_traces(name)
        if content is None:
            content = self._new_traces = pack_traces(name, self._model, self._trace_programs())
        if content is not None:
            programs = unpack_traces(content, self._model)
            self._train, self._validate = programs["train"], programs.get("validate")
            self._train_tail, self._validate_tail = programs.get("train_tail"), programs.get("validate_tail")

    def _trace_programs(self) -> dict[str, Any]:
        """The concrete functions of all programs, by name."""
        traced = {"train": self._train.get_concrete_function()}
        if self._validate is not None:
            traced["validate"] = self._validate.get_concrete_function()
        for name, tail, blocks in (
            ("train_tail", self._train_tail, self._training),
            ("validate_tail", self._validate_tail, self._validation),
        ):
            if blocks is not None and (specs := blocks.tail_specs):
                traced[name] = tail.get_concrete_function(specs)
        return traced

    def _compile(self) -> None:
        """Trace and compile the programs: call each once with zero steps."""
        zero, is_first = tf.constant(0), tf.constant(value=False)
        for program, blocks in ((self._train, self._training), (self._validate, self._validation)):
            if blocks is not None:
                program(tuple(tf.zeros(spec.shape, spec.dtype) for spec in blocks.specs), zero, zero, is_first)

    def _train_epoch(self, steps_done: Callable[[int, Any], None], _: Any) -> Any:
        """Train one epoch, or the rest of one, and return its logs.

        Calls `steps_done` with the number of batches done and the logs so far; it may raise to end the epoch.
        """
        first_step = self._place.step if self._epoch.number == self._place.epoch else 0
        blocks, epoch = self._training, self._epoch.number
        blocks.begin(self._settings.order(epoch, self._rows), self._data.train.draw(self._settings.seed, epoch))
        logs: Any = None
        for block, start, stop in _split_into_calls(blocks, first_step, self._training_pace):
            with self._training_pace.measure(stop - start):
                first = block * blocks.batches_per_block
                done, logs = self._train(blocks.block(block), start - first, stop - first, start == 0)
                done = first + int(done)
            steps_done(done, logs)
        tail = blocks.tail()
        if tail is not None and first_step <= blocks.full_batches:
            logs = self._train_tail(tail)
            steps_done(blocks.full_batches + 1, logs)
        return self._model.get_metrics_result() if logs is None else logs

    def _validate_all(self, validated: Callable[[int], None]) -> Any:
        """Validate on all rows, and return the logs. Calls `validated` with the number of batches done."""
        blocks = self._validation
        assert blocks is not None
        blocks.begin(None, self._data.validation.draw(0, 0))
        logs: Any = None
        for block, start, stop in _split_into_calls(blocks, 0, self._validation_pace):
            with self._validation_pace.measure(stop - start):
                first = block * blocks.batches_per_block
                logs, finite = self._validate(blocks.block(block), start - first, stop - first, start == 0)
                self._finite = finite.numpy()
            validated(stop)
        tail = blocks.tail()
        return logs if tail is None else self._validate_tail(tail)


def _split_into_calls(blocks: Blocks, first_step: int, pace: "_Pace") -> Iterator[tuple[int, int, int]]:
    """Yield (block, first batch, batch after the last) for each call of a program in the epoch, from `first_step`."""
    start = first_step
    while start < blocks.full_batches:
        block = start // blocks.batches_per_block
        end_of_block = min((block + 1) * blocks.batches_per_block, blocks.full_batches)
        stop = min(start + pace.steps, end_of_block)
        yield block, start, stop
        start = stop


def call_seconds(step_seconds: float) -> float:
    """Target duration of a call in seconds, if a step takes `step_seconds`."""
    return max(_CALL_SECONDS, min(_STEPS_TO_SHARE_A_CALL * step_seconds, _LONG_CALL_SECONDS))


class _Pace:
    """Chooses the number of steps of the next call from the duration of the last one. The results are the same."""

    def __init__(self) -> None:
        self.steps = 1

    @contextmanager
    def measure(self, steps: int) -> Iterator[None]:
        """Measure a call of `steps` steps, and choose the number for the next one."""
        began = time.perf_counter()
        yield
        step_seconds = max(time.perf_counter() - began, 1e-6) / steps
        self.steps = max(1, min(int(call_seconds(step_seconds) / step_seconds), self.steps * _MOST_GROWTH))


class Placeholder(DataAdapter or object):  # type: ignore[misc]
    """A dataset for `fit` that has a number of batches and no data: the replaced step function does not read it."""

    num_batches = 1
    batch_size = None
    has_partial_batch = False
    partial_batch_size = None

    def __init__(self, batches: int = 1) -> None:
        self.num_batches = batches

    def get_tf_dataset(self) -> "Placeholder":
        return self

    def __iter__(self) -> "Placeholder":
        return self

    def __next__(self) -> None:
        raise StopIteration
