"""Stopping follows Keras: the same logs lead to the same decisions in our callbacks and in Keras's own ones.

The one difference is a NaN: Keras keeps a first NaN as the best forever; here it is an epoch without improvement.
Keras with the worst value as its first best decides the same, so it is the reference if a curve begins with NaN.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.job_folder import AttemptFolder
from shared.manifest import read_manifest
from shared.spec import EarlyStoppingSpec, ModelCheckpointSpec, ReduceLROnPlateauSpec
from tests.support.runs import run_context
from worker.training.callbacks.early_stopping import PatientStopping
from worker.training.callbacks.model_checkpoint import WholeCheckpoint
from worker.training.callbacks.reduce_lr import ReduceLROnPlateau

# Few different values, so that ties and steps of exactly min_delta occur.
VALUES = st.sampled_from([0.1, 0.2, 0.3, 0.30005, 0.3001, 0.3011, 0.4, 0.5, 0.9, -0.2, math.nan])
CURVES = st.lists(VALUES, min_size=1, max_size=40)
MODES = st.sampled_from(["min", "max"])
QUICK = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@dataclass
class Optimizer:
    learning_rate: float = 0.1


@dataclass
class Model:
    """The part of a model that the callbacks use; a save writes the path into the file."""

    optimizer: Optimizer = field(default_factory=Optimizer)
    stop_training: bool = False
    saved: list[str] = field(default_factory=list)

    def save(self, path: Any, overwrite: bool = True) -> None:
        assert overwrite
        self.saved.append(Path(path).name)
        Path(path).write_text(str(path))


class File:
    """The part of a model's file that the callback uses."""

    def snapshot(self) -> Any:
        return lambda: b"model"


def drive(callback: keras.callbacks.Callback, curve: list[float], mode: str) -> tuple[int, list[float], list[str]]:
    """Return the epoch after which training stops (from 1), the learning rate of each epoch, and the saved files."""
    model = Model()
    callback._model = model
    callback.on_train_begin()
    first_monitored = curve[getattr(callback, "start_from_epoch", 0) :][:1]
    if type(callback).__module__.startswith("keras.") and first_monitored and math.isnan(first_monitored[0]):
        callback.best = math.inf if mode == "min" else -math.inf
    rates = []
    for epoch, value in enumerate(curve):
        rates.append(model.optimizer.learning_rate)
        callback.on_epoch_begin(epoch)
        callback.on_epoch_end(epoch, {"value": value})
        if model.stop_training:
            return epoch + 1, rates, model.saved
    return len(curve), rates, model.saved


@QUICK
@given(CURVES, MODES, st.integers(1, 6), st.sampled_from([0, 0.0001, 0.1]), st.integers(0, 5))
def test_early_stopping_stops_at_the_epoch_at_which_keras_does(
    curve: list[float], mode: str, patience: int, min_delta: float, start: int
) -> None:
    spec = EarlyStoppingSpec(monitor="value", mode=mode, patience=patience, min_delta=min_delta, start_from_epoch=start)
    ours = PatientStopping(spec)
    bare = keras.callbacks.EarlyStopping(
        monitor="value", mode=mode, patience=patience, min_delta=min_delta, start_from_epoch=start
    )
    stop, _, _ = drive(ours, curve, mode)
    assert stop == drive(bare, curve, mode)[0]
    assert ours.wait == bare.wait
    if ours.best is not None:
        assert (ours.best, ours.best_epoch) == (bare.best, bare.best_epoch)
    else:
        assert bare.best is None or math.isinf(bare.best)


@QUICK
@given(CURVES, MODES, st.integers(1, 6), st.sampled_from([0, 0.0001, 0.1]), st.integers(0, 5))
def test_the_announced_stop_is_where_it_stops_when_nothing_improves(
    curve: list[float], mode: str, patience: int, min_delta: float, start: int
) -> None:
    spec = EarlyStoppingSpec(monitor="value", mode=mode, patience=patience, min_delta=min_delta, start_from_epoch=start)
    ours = PatientStopping(spec)
    stop, _, _ = drive(ours, curve, mode)
    announced = ours.patience_used(stop, 1000).stops_at_epoch
    if ours.has_stopped:
        assert announced == max(stop, 2)
        return
    first_monitored = [0.5] * max(0, start + 1 - len(curve))
    assert drive(PatientStopping(spec), [*curve, *first_monitored, *[math.nan] * 50], mode)[0] == announced


@QUICK
@given(
    CURVES,
    MODES,
    st.integers(1, 5),
    st.sampled_from([0, 0.0001, 0.1]),
    st.integers(0, 4),
    st.sampled_from([0.0, 0.003]),
)
def test_the_learning_rate_drops_when_kerass_does(
    curve: list[float], mode: str, patience: int, min_delta: float, cooldown: int, min_lr: float
) -> None:
    options: dict[str, Any] = {
        "monitor": "value", "mode": mode, "factor": 0.1, "patience": patience,
        "min_delta": min_delta, "cooldown": cooldown, "min_lr": min_lr,
    }  # fmt: skip
    ours = ReduceLROnPlateau(ReduceLROnPlateauSpec(**options))
    bare = keras.callbacks.ReduceLROnPlateau(**options)
    assert drive(ours, curve, mode)[1] == drive(bare, curve, mode)[1]
    assert (ours.wait, ours.cooldown_counter) == (bare.wait, bare.cooldown_counter)


@QUICK
@given(CURVES, MODES, st.booleans())
def test_the_saved_epochs_are_kerass(
    tmp_path_factory: pytest.TempPathFactory, curve: list[float], mode: str, best_only: bool
) -> None:
    folder = tmp_path_factory.mktemp("attempt")
    attempt = AttemptFolder(folder, 1)
    (folder / "checkpoints").mkdir()
    spec = ModelCheckpointSpec(
        monitor="value", mode=mode, save_best_only=best_only, filename="m-{epoch:02d}", format="keras", keep=1000
    )
    with run_context(attempt, record="none") as run:
        ours = WholeCheckpoint(spec, run)
        ours._file = File()  # type: ignore[assignment]
        drive(ours, curve, mode)
    bare = keras.callbacks.ModelCheckpoint(
        folder / "bare-{epoch:02d}.keras", monitor="value", mode=mode, save_best_only=best_only
    )
    saved = [name.removeprefix("bare-") for name in drive(bare, curve, mode)[2]]
    manifest = read_manifest(attempt.manifest_file)
    assert [one.name.removeprefix("m-") for one in manifest.checkpoints] == saved
    assert {one.name for one in manifest.checkpoints} == {path.name for path in attempt.checkpoints.glob("*.keras")}
    best = ours.best_so_far.epoch if ours.best_so_far else None
    assert best == next(
        (one.epoch for one in manifest.checkpoints if one.name == manifest.best and one.metrics["value"] is not None),
        None,
    )


@pytest.mark.parametrize("kind", [PatientStopping, ReduceLROnPlateau, WholeCheckpoint])
def test_the_private_name_that_the_nan_rule_overrides_is_still_kerass(kind: type) -> None:
    base = next(parent for parent in kind.__mro__ if parent.__module__ == "keras.src.callbacks.monitor_callback")
    assert "_is_improvement" in vars(base)


def test_a_first_nan_never_becomes_the_best() -> None:
    ours = PatientStopping(EarlyStoppingSpec(monitor="value", mode="max", patience=5, min_delta=0))
    drive(ours, [math.nan, 0.2, 0.3], "max")
    assert (ours.best, ours.best_epoch, ours.wait) == (0.3, 2, 0)
