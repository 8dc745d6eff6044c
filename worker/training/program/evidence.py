"""The evidence of a script's run: its callbacks, as the rules that Fitstop's own callbacks watch."""

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
    """A script's EarlyStopping. Only Keras's object decides."""

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
        """Its settings, by the job's epochs."""
        return EarlyStoppingSpec(
            monitor=str(self._rule.monitor)[:64],
            mode=direction(self._rule),
            min_delta=abs(float(self._rule.min_delta)),
            # Keras stops after one epoch without improvement with 0 as with 1.
            patience=max(1, int(self._rule.patience)),
            start_from_epoch=int(self._rule.start_from_epoch) + self._offset,
        )

    def patience_used(self, epoch: int, epochs: int) -> Patience:
        """The state after `epoch` (from 1) of `epochs`."""
        spec, best, last = self.settings, self._rule.best, None
        if best is not None and math.isfinite(float(best)):
            at = int(getattr(self._rule, "best_epoch", 0)) + 1 + self._offset
            last = LastImprovement(epoch=at, value=float(best), min_delta=spec.min_delta)
        return patience_after(epoch, epochs, spec, last, int(self._rule.wait))


class ScriptPlateau:
    """A script's ReduceLROnPlateau."""

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
        """Number of epochs that it has waited."""
        return PlateauWait(wait=int(self._rule.wait), patience=int(self._rule.patience))


class BestModel(WholeCheckpoint):
    """The job's own copy of the best model, in addition to the script's files; none if Keras cannot save the model."""

    def set_model(self, model: keras.Model) -> None:
        try:
            super().set_model(model)
            self._can_save = True
        except Exception:
            # A model's own class may raise anything when it is saved.
            log.warning("the model cannot be saved, so the job keeps no model", exc_info=True)
            self._can_save = False

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self._can_save and self.monitor in (logs or {}):
            super().on_epoch_end(epoch, logs)


class JobLog(CSVLog):
    """The job's log over all calls of `fit`: its columns are those of the first call."""

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        super().on_train_begin(logs)
        if self._path.stat().st_size:
            with self._path.open() as file:
                self.keys = file.readline().strip().split(self.sep)[1:]


def direction(callback: Any) -> Any:
    """What a monitoring callback takes for better, "min" or "max"; "auto" where it has not decided it."""
    decided = getattr(callback, "monitor_op", None)
    if decided is None:
        return "auto"
    return "max" if decided in {keras.ops.greater, keras.ops.greater_equal} else "min"


def best_model(run: RunContext, callbacks: Sequence[Any], logged: Sequence[str], *, has_validation: bool) -> BestModel:
    """Choose its monitor: that of ModelCheckpoint, else of EarlyStopping, if the logs have it; else the loss."""
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
    """What can stop a call of `fit` before its last epoch, and the event's level. A missing metric is a warning."""
    if rule is None:
        return "only the job's budget can end it sooner", "info"
    if rule.settings.monitor in logged:
        return "early stopping may end it sooner", "info"
    missing = f'early stopping monitors "{rule.settings.monitor}", and the model logs {list_names(logged)}'
    return f"only the job's budget can end it sooner: {missing}", "warning"


def _is_logged(callback: Any, logged: Sequence[str]) -> bool:
    return len(callback.monitor) <= 64 and callback.monitor in logged


def logged_names(model: keras.Model, own: Collection[str], *, has_validation: bool) -> list[str]:
    """The names in each epoch's logs of a model that is built, sorted; `own` are those of a step of its own."""
    names = {*model.get_metrics_result(), "loss", *own}
    return sorted(names | {f"val_{name}" for name in names} if has_validation else names)
