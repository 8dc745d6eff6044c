"""Presents a script's callbacks as rules, from which Fitstop's own callbacks make events and evidence."""

import logging
import math
import re
from collections.abc import Collection, Sequence
from typing import Any

import keras

from shared.events import Level
from shared.problems import list_names
from shared.progress import LastImprovement, Patience, PlateauWait
from shared.replay import patience_after
from shared.spec import EarlyStoppingSpec, ModelCheckpointSpec
from worker.training.callbacks.csv_log import CSVLog
from worker.training.callbacks.model_checkpoint import WholeCheckpoint
from worker.training.callbacks.reduce_lr import Drop
from worker.training.context import RunContext
from worker.training.program.script_callbacks import ScriptCallbacks

log = logging.getLogger(__name__)

_PLAIN = re.compile("[a-z_][a-z0-9_]*")
_KEPT = 5


class ScriptStopping:
    """A script's EarlyStopping, for events and evidence. Keras's object alone decides."""

    def __init__(self, rule: Any, block: ScriptCallbacks, offset: int) -> None:
        self._rule = rule
        self._block = block
        self._offset = offset

    @property
    def has_stopped(self) -> bool:
        """Whether it ended the run."""
        return self._block.stopped_by is self._rule

    @property
    def settings(self) -> EarlyStoppingSpec:
        """The settings, with epochs counted over the whole job."""
        return EarlyStoppingSpec(
            monitor=str(self._rule.monitor)[:64],
            mode=direction(self._rule),
            min_delta=abs(float(self._rule.min_delta)),
            # In Keras, 0 means the same as 1: stop after one epoch without improvement.
            patience=max(1, int(self._rule.patience)),
            start_from_epoch=int(self._rule.start_from_epoch) + self._offset,
        )

    def patience_used(self, epoch: int, epochs: int) -> Patience:
        """How much of the patience is used after `epoch` (from 1) of `epochs`."""
        spec, best, last = self.settings, self._rule.best, None
        if best is not None and math.isfinite(float(best)):
            at = int(getattr(self._rule, "best_epoch", 0)) + 1 + self._offset
            last = LastImprovement(epoch=at, value=float(best), min_delta=spec.min_delta)
        return patience_after(epoch, epochs, spec, last, int(self._rule.wait))


class ScriptPlateau:
    """A script's ReduceLROnPlateau, for events."""

    def __init__(self, rule: Any, block: ScriptCallbacks) -> None:
        self._rule = rule
        self._block = block

    @property
    def drop(self) -> Drop | None:
        """The reduction at the end of the last epoch, if any."""
        before, after = self._block.rates or (0.0, 0.0)
        is_drop = after < before * (1 - 1e-6)
        return Drop(before, after, str(self._rule.monitor), int(self._rule.patience)) if is_drop else None

    def plateau_wait(self) -> PlateauWait:
        """Number of epochs since the last improvement, and the patience."""
        return PlateauWait(wait=int(self._rule.wait), patience=int(self._rule.patience))


class BestModel(WholeCheckpoint):
    """Saves the job's own copy of the best model, in addition to the script's files; none if Keras cannot save it."""

    def set_model(self, model: keras.Model) -> None:
        try:
            super().set_model(model)
            self._can_save = True
        except Exception:
            # The edge: a script's own model class may raise any error.
            log.warning("the model cannot be saved, so the job keeps no model", exc_info=True)
            self._can_save = False

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self._can_save and self.monitor in (logs or {}):
            super().on_epoch_end(epoch, logs)


class JobLog(CSVLog):
    """The job's log over all calls of `fit`, with the columns of the first call."""

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        super().on_train_begin(logs)
        if self._path.stat().st_size:
            with self._path.open() as file:
                self.keys = file.readline().strip().split(self.sep)[1:]


def direction(callback: Any) -> Any:
    """The mode of a callback with a monitor: "min" or "max"; "auto" if it has not decided yet."""
    decided = getattr(callback, "monitor_op", None)
    if decided is None:
        return "auto"
    return "max" if decided in {keras.ops.greater, keras.ops.greater_equal} else "min"


def best_model(run: RunContext, callbacks: Sequence[Any], logged: Sequence[str], *, has_validation: bool) -> BestModel:
    """The callback that saves the best model. Monitor: that of ModelCheckpoint, else of EarlyStopping, else the loss.

    A monitor that is not `logged` is not used.
    """
    saving = [one for one in callbacks if isinstance(one, keras.callbacks.ModelCheckpoint)]
    stopping = [one for one in callbacks if isinstance(one, keras.callbacks.EarlyStopping)]
    usual = "val_loss" if has_validation else "loss"
    rule = next((one for one in (*saving, *stopping) if direction(one) != "auto" and _is_logged(one, logged)), None)
    monitor = str(rule.monitor) if rule is not None else usual
    named = f"-{{{monitor}:.4f}}" if _PLAIN.fullmatch(monitor) else ""
    spec = ModelCheckpointSpec(
        monitor=monitor,
        mode=direction(rule) if rule is not None else "min",
        filename=f"model-{{epoch:02d}}{named}",
        keep=_KEPT if saving else 1,
    )
    return BestModel(spec, run)


def describe_stop_rule(rule: Any, logged: Sequence[str]) -> tuple[str, Level]:
    """Say what can stop a call of `fit` before its last epoch, and the event's level. A missing metric is a warning."""
    if rule is None:
        return "only the job's budget can end it sooner", "info"
    if rule.settings.monitor in logged:
        return "early stopping may end it sooner", "info"
    missing = f'early stopping monitors "{rule.settings.monitor}", and the model logs {list_names(logged)}'
    return f"only the job's budget can end it sooner: {missing}", "warning"


def _is_logged(callback: Any, logged: Sequence[str]) -> bool:
    return len(callback.monitor) <= 64 and callback.monitor in logged


def logged_names(model: keras.Model, own: Collection[str], *, has_validation: bool) -> list[str]:
    """The names in each epoch's logs of a built model, sorted. `own`: those that the model's own step logs."""
    names = {*model.get_metrics_result(), "loss", *own}
    return sorted(names | {f"val_{name}" for name in names} if has_validation else names)
