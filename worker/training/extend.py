"""Extends a job: adapts the resume point of the earlier job to the settings of the job that continues it.

From the last resume point, everything is restored except early stopping. Its state is computed for the new settings, by
Keras's own rule over the epochs so far. So the result equals that of a job that had these settings from the start, as
exactly as a resumed job equals one that was not interrupted.

From the best checkpoint, the weights and the optimizer are those of the checkpoint, and the state of all callbacks is
computed up to its epoch. A checkpoint has no random state, so the state at the end of the earlier run is used, and the
result does not equal any other run bit for bit.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from shared.events import read_events
from shared.job import JobRecord
from shared.job_folder import AttemptFolder
from shared.manifest import Checkpoint, Manifest, read_manifest
from shared.progress import EpochProgress
from shared.spec import Callbacks as CallbacksSpec
from shared.spec import EarlyStoppingSpec, ReduceLROnPlateauSpec
from worker.training.callbacks.early_stopping import PatientStopping
from worker.training.callbacks.reduce_lr import ReduceLROnPlateau
from worker.training.hashing import sha256_of
from worker.training.resume.point import DamagedPoint, Place, ResumePoint


def adapt_point(record: JobRecord, model: keras.Model, point: ResumePoint, inherited: AttemptFolder) -> ResumePoint:
    """The point from which the job of `record` continues: adapted if it is the earlier job's, else unchanged.

    `inherited` is the attempt that the point belongs to; number 0 is what the job inherited. Raises DamagedPoint if the
    epochs or the checkpoint that the point needs are missing.
    """
    if inherited.number:
        return point
    epochs = _read_epochs(inherited)
    if record.extends_from == "best":
        point = _at_best(point, inherited, record, model, epochs)
    if len(epochs) < point.place.epoch:
        raise DamagedPoint(f"{point.place.epoch} epochs precede it, but {len(epochs)} are recorded")
    stopping = record.data_spec.callbacks.early_stopping
    if stopping is None:
        return dataclasses.replace(point, is_stopped=False)
    state = stopping_state(epochs[: point.place.epoch], stopping)
    callbacks = {**point.callbacks, "early_stopping": state}
    return dataclasses.replace(point, callbacks=callbacks, is_stopped=state["has_stopped"])


def stopping_state(epochs: Sequence[EpochProgress], spec: EarlyStoppingSpec) -> dict[str, Any]:
    """The state of Keras's EarlyStopping after these epochs, or at the epoch at which it stops."""
    rule = PatientStopping(spec)
    rule.set_model(_StandIn(0.0))
    rule.on_train_begin()
    for one in epochs:
        rule.on_epoch_end(one.epoch - 1, _logs(one))
        if rule.has_stopped:
            break
    return rule.state()


def plateau_state(
    epochs: Sequence[EpochProgress], spec: ReduceLROnPlateauSpec, learning_rate: float
) -> tuple[dict[str, Any], float]:
    """The state of Keras's ReduceLROnPlateau after these epochs, and the resulting learning rate."""
    rule, stand_in = ReduceLROnPlateau(spec), _StandIn(learning_rate)
    rule.set_model(stand_in)
    rule.on_train_begin()
    for one in epochs:
        rule.on_epoch_end(one.epoch - 1, _logs(one))
    return rule.state(), float(stand_in.learning_rate)


class _StandIn:
    """Stands in for the model and its optimizer in Keras's callbacks: `stop_training`, and a float32 learning rate."""

    def __init__(self, learning_rate: float) -> None:
        self.stop_training = False
        self.learning_rate = learning_rate

    @property
    def optimizer(self) -> "_StandIn":
        return self

    @property
    def learning_rate(self) -> np.float32:
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._learning_rate = np.float32(value)


def _read_epochs(inherited: AttemptFolder) -> list[EpochProgress]:
    events = (event for _, event in read_events(inherited.events_file) if event.type == "epoch")
    return [EpochProgress.of(event.data) for event in events]


def _logs(epoch: EpochProgress) -> dict[str, Any]:
    return {name: math.nan if value is None else value for name, value in epoch.metrics.items()}


def _at_best(
    point: ResumePoint, inherited: AttemptFolder, record: JobRecord, model: keras.Model, epochs: Sequence[EpochProgress]
) -> ResumePoint:
    """The point after the epoch of the best checkpoint, which must be the last epoch that was inherited."""
    manifest = read_manifest(inherited.manifest_file)
    best = manifest.find(manifest.best) if manifest.best else None
    if best is None or best.epoch != len(epochs):
        raise DamagedPoint("its best checkpoint does not exist")
    spec = record.data_spec
    rate, callbacks = (
        float(epochs[-1].learning_rate),
        {**point.callbacks, **_callbacks_at(best, epochs, spec.callbacks)},
    )
    if spec.callbacks.reduce_lr_on_plateau:
        first_rate = spec.hyperparameters.learning_rate
        state, rate = plateau_state(epochs, spec.callbacks.reduce_lr_on_plateau, first_rate)
        callbacks["reduce_lr_on_plateau"] = state
    kept = Manifest(best=best.name, checkpoints=tuple(one for one in manifest.checkpoints if one.epoch <= best.epoch))
    has_log = inherited.training_log.exists()
    return dataclasses.replace(
        point,
        place=Place(best.epoch, 0),
        callbacks=callbacks,
        manifest=kept.model_dump(mode="json"),
        log_bytes=inherited.training_log.stat().st_size if has_log else 0,
        log_sha256=sha256_of(inherited.training_log) if has_log else "",
        tensors=_tensors_of(best, inherited, model, point, rate),
    )


def _callbacks_at(best: Checkpoint, epochs: Sequence[EpochProgress], spec: CallbacksSpec) -> dict[str, Any]:
    best_so_far = epochs[-1].best
    assert best_so_far is not None
    assert spec.model_checkpoint is not None
    value = best_so_far.value if spec.model_checkpoint.save_best_only else None
    return {
        "model_checkpoint": {"best": value, "best_so_far": best_so_far.model_dump(mode="json")},
        "narrator": {"last_epoch": best.epoch},
    }


def _tensors_of(
    best: Checkpoint, inherited: AttemptFolder, model: keras.Model, point: ResumePoint, learning_rate: float
) -> tuple[tuple[str, Any], ...]:
    """The point's tensors, with the weights and the optimizer of the checkpoint, and `learning_rate`."""
    path = inherited.checkpoints / best.name
    if sha256_of(path) != best.sha256:
        raise DamagedPoint(f"{best.name} does not match its hash")
    saved = keras.models.load_model(path)
    weights, optimizer = list(saved.weights), list(saved.optimizer.variables)
    if len(weights) != len(model.weights) or len(optimizer) != len(model.optimizer.variables):
        raise DamagedPoint(f"{best.name} belongs to another model")
    ours = {id(variable): value for variable, value in zip(model.weights, weights, strict=True)}
    found = {
        f"model:{index}": _array(ours[id(variable)])
        for index, variable in enumerate(model.variables)
        if id(variable) in ours
    }
    for index, (variable, value) in enumerate(zip(model.optimizer.variables, optimizer, strict=True)):
        is_rate = variable is model.optimizer.learning_rate
        found[f"optimizer:{index}"] = np.asarray(learning_rate, np.float32) if is_rate else _array(value)
    kept = [(name, tensor) for name, tensor in point.tensors if not name.startswith("metric:")]
    return tuple((name, found.get(name, tensor)) for name, tensor in kept)


def _array(variable: Any) -> Any:
    return keras.ops.convert_to_numpy(variable.value)
