"""Every callback of Keras: refused, replaced, or the same after an interruption as without one."""

import inspect
import json
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from worker.training.program.keras_callbacks import TREATMENTS, treatment_of
from worker.training.program.script_callbacks import (
    Numbering,
    ScriptCallbacks,
    UnsuitableCallback,
    choose_callbacks,
    explain_lost_state,
    uses_batches,
)

NAMES = sorted(name for name, found in vars(keras.callbacks).items() if inspect.isclass(found))
LOSSES = [0.9, 0.7, 0.71, 0.72, 0.6, 0.61, 0.62, 0.63]

MAKE: dict[str, Callable[[Path], Any]] = {
    "Callback": lambda _: Counting(),
    "CSVLogger": lambda folder: keras.callbacks.CSVLogger(str(folder / "log.csv")),
    "EarlyStopping": lambda _: keras.callbacks.EarlyStopping("loss", patience=3, restore_best_weights=True),
    "History": lambda _: keras.callbacks.History(),
    "LearningRateScheduler": lambda _: keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9 + epoch),
    "ModelCheckpoint": lambda folder: keras.callbacks.ModelCheckpoint(
        str(folder / "m-{epoch}.weights.h5"), "loss", save_best_only=True, save_weights_only=True
    ),
    "ReduceLROnPlateau": lambda _: keras.callbacks.ReduceLROnPlateau("loss", patience=2, cooldown=1),
    "RemoteMonitor": lambda _: keras.callbacks.RemoteMonitor("http://127.0.0.1:1"),
    "SwapEMAWeights": lambda _: keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
    "TensorBoard": lambda folder: keras.callbacks.TensorBoard(str(folder / "logs"), update_freq=2),
}


class Counting(keras.callbacks.Callback):
    """Counts its calls in plain attributes; Keras's own callbacks use `writer` and `rows` for something else."""

    def __init__(self) -> None:
        super().__init__()
        self.writer = {"begun": 0}
        self.rows: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.writer["begun"] += epoch

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.rows.append(logs["loss"])


class Run:
    """A model, its callback in the block, and their hooks, called by hand."""

    def __init__(self, folder: Path, name: str, begun: int | None = None) -> None:
        keras.utils.set_random_seed(1)
        folder.mkdir(exist_ok=True)
        self.model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        self.model.compile(keras.optimizers.SGD(0.1, use_ema=True), "mse")
        self.model.optimizer.build(self.model.trainable_variables)
        self.callback = MAKE[name](folder)
        params = {"epochs": len(LOSSES), "steps": 1, "verbose": 0}
        self.block = ScriptCallbacks(choose_callbacks([self.callback]), Numbering(0, params, begun))
        self.block.set_model(self.model)
        self.block.set_params(None)

    def begin(self, epoch: int) -> None:
        self.block.on_epoch_begin(epoch)
        for batch in range(2):
            self.block.on_train_batch_begin(batch)
            step = np.float32(epoch + batch + 1)
            self.model.optimizer.apply([tf.ones_like(one) * step for one in self.model.trainable_variables])
            self.block.on_train_batch_end(batch, {"loss": LOSSES[epoch]})

    def end(self, epoch: int) -> None:
        logs = {"loss": LOSSES[epoch], "val_loss": LOSSES[epoch] / 2}
        self.block.on_test_begin()
        self.block.on_test_end({"loss": logs["val_loss"]})
        self.block.on_epoch_end(epoch, logs)

    def die(self) -> None:
        """Close the files that the death of a process of its own would close."""
        if isinstance(self.callback, keras.callbacks.CSVLogger):
            self.callback.csv_file.close()
        if isinstance(self.callback, keras.callbacks.TensorBoard):
            self.callback._pop_writer()

    def variables(self) -> list[Any]:
        return [*self.model.variables, *self.model.optimizer.variables]

    def known(self) -> str:
        state = self.block.state()
        clock = ("_epoch_start_time", "_batch_start_time", "log_dir", "_log_write_dir", "_train_dir", "_val_dir")
        named = {"filename", "filepath", *clock}
        plain = [item for item in state["callbacks"] for item in item["dict"] if item[0] not in named]
        arrays = [one.tolist() for one in self.block.arrays()]
        return json.dumps([plain, state["history"], arrays, [np.asarray(one).tolist() for one in self.variables()]])


def resumed(folder: Path, name: str, first: Run, begun: int | None = None) -> Run:
    """Return a second process's run, restored as from a resume point of the first."""
    state, arrays = json.loads(json.dumps(first.block.state())), first.block.arrays()
    kept = shutil.copytree(folder, folder.with_name("kept"), dirs_exist_ok=True)
    first.die()
    second = Run(folder, name, begun)
    second.block.on_train_begin()
    shutil.rmtree(folder)
    shutil.move(kept, folder)
    for mine, saved in zip(second.variables(), first.variables(), strict=True):
        mine.assign(saved)
    second.block.restore(state)
    second.block.restore_arrays(arrays)
    return second


def events(folder: Path) -> list[tuple[str, int, float]]:
    """Return the numbers in TensorBoard's files."""
    found = []
    for path in sorted(folder.rglob("*tfevents*")):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            found += [
                (f"{path.parent.name}/{one.tag}", event.step, float(tf.make_ndarray(one.tensor)))
                for one in event.summary.value
                if one.tensor.dtype == tf.float32.as_datatype_enum
            ]
    return sorted(found)


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Could not reach RemoteMonitor")
        yield


def test_each_callback_of_this_keras_has_a_treatment() -> None:
    assert sorted(TREATMENTS) == NAMES
    assert sorted(MAKE) == [name for name in NAMES if TREATMENTS[name].fate == "exact"]


@pytest.mark.parametrize("name", NAMES)
def test_the_documentation_says_what_becomes_of_each(name: str) -> None:
    words = {"exact": "exact", "epoch": "without memory", "replaced": "replaced", "refused": "refused"}
    row = f"| `{name}` | {words[TREATMENTS[name].fate]} | {TREATMENTS[name].note} |"
    assert row in (Path(__file__).parents[5] / "docs" / "scripts.md").read_text().splitlines()


@pytest.mark.parametrize("name", [name for name in NAMES if TREATMENTS[name].fate == "exact"])
def test_after_an_interruption_it_is_as_without_one(tmp_path: Path, name: str) -> None:
    whole = Run(tmp_path / "whole", name)
    whole.block.on_train_begin()
    for epoch in range(len(LOSSES)):
        whole.begin(epoch)
        whole.end(epoch)
    whole.block.on_train_end()
    first = Run(tmp_path / "cut", name)
    first.block.on_train_begin()
    for epoch in range(3):
        first.begin(epoch)
        first.end(epoch)
    second = resumed(tmp_path / "cut", name, first)
    second.begin(3)
    # Another interruption, inside an epoch.
    third = resumed(tmp_path / "cut", name, second, begun=3) if not uses_batches(second.callback) else second
    if third is not second:
        third.block.on_epoch_begin(3)
    third.end(3)
    for epoch in range(4, len(LOSSES)):
        third.begin(epoch)
        third.end(epoch)
    third.block.on_train_end()
    assert third.known() == whole.known()
    assert explain_lost_state(third.callback) is None
    files = [sorted(path.name for path in (tmp_path / one).glob("*.*")) for one in ("whole", "cut")]
    assert files[0] == files[1]
    assert all((tmp_path / "cut" / one).read_bytes() == (tmp_path / "whole" / one).read_bytes()
               for one in files[0] if one.endswith(".csv"))  # fmt: skip
    assert events(tmp_path / "cut") == events(tmp_path / "whole")
    assert bool(events(tmp_path / "cut")) == (name == "TensorBoard")


@pytest.mark.parametrize("name", [name for name in NAMES if TREATMENTS[name].fate != "exact"])
def test_others_are_refused_replaced_or_said_to_forget(name: str) -> None:
    # Without the arguments or packages that its constructor needs.
    callback = object.__new__(getattr(keras.callbacks, name))
    if name == "CallbackList":
        kept = Counting()
        assert choose_callbacks(keras.callbacks.CallbackList([kept], add_history=False)) == [kept]
    elif TREATMENTS[name].fate == "refused":
        with pytest.raises(UnsuitableCallback, match=name):
            choose_callbacks([callback])
    elif TREATMENTS[name].fate == "replaced":
        assert choose_callbacks([callback]) == []
        derived = object.__new__(type("Mine", (getattr(keras.callbacks, name),), {}))
        with pytest.raises(UnsuitableCallback, match="Mine cannot be used"):
            choose_callbacks([derived])
    else:
        assert name in str(explain_lost_state(callback))


def test_what_a_script_derives_is_treated_as_what_it_derives_from() -> None:
    class Stop(keras.callbacks.EarlyStopping):
        pass

    class Logs(keras.callbacks.TensorBoard):
        pass

    assert treatment_of(Stop()) is TREATMENTS["EarlyStopping"]
    assert explain_lost_state(Stop()) is None
    assert uses_batches(Logs(update_freq="batch"))
    assert not uses_batches(Logs())


def test_lists_in_lists_are_one_list_as_in_keras() -> None:
    one, two = Counting(), Counting()
    assert choose_callbacks([one, [two]]) == [one, two]
    with pytest.raises(UnsuitableCallback, match="holds str"):
        choose_callbacks(["no callback"])
