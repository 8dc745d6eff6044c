"""Translates Keras's callbacks into the `callbacks` of a job's spec. A callback that is not passed becomes null."""

import re
import string
from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import Any

from fitstop.client import Json
from fitstop.fitting.compiled import is_of_keras
from fitstop.fitting.problems import Problems
from fitstop.metric_names import Names

# A job already does what these callbacks do.
_IDLE = frozenset({"History", "ProgbarLogger", "TerminateOnNaN"})
_KNOWN = ("ModelCheckpoint", "ReduceLROnPlateau", "EarlyStopping", "CSVLogger")
_ENDINGS = (".weights.h5", ".keras", ".h5", ".hdf5")
_FILENAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


def read_callbacks(callbacks: Sequence[Any] | Any, names: Names, problems: Problems) -> Json:
    """The spec's `callbacks`. Without a ModelCheckpoint only the best model is saved, for `run.best_model()`."""
    given: dict[str, Any] = {}
    for one in _flat(callbacks):
        kind = type(one).__name__
        if not is_of_keras(type(one).__module__):
            problems.add(f"the callback {kind} is not one of Keras's own")
        elif kind in given:
            problems.add(f"there are two callbacks of the kind {kind}")
        elif kind in _KNOWN:
            given[kind] = one
        elif kind not in _IDLE:
            problems.add(f"the callback {kind} is not one of {', '.join(_KNOWN)}")
    reader = _Reader(names, problems)
    stopping, checkpoint = given.get("EarlyStopping"), given.get("ModelCheckpoint")
    reduce_lr, logger = given.get("ReduceLROnPlateau"), given.get("CSVLogger")
    return {
        "model_checkpoint": reader.checkpoint(checkpoint) if checkpoint else reader.best_only(stopping),
        "reduce_lr_on_plateau": reader.reduce_lr(reduce_lr) if reduce_lr else None,
        "early_stopping": reader.early_stopping(stopping) if stopping else None,
        "csv_logger": reader.csv_logger(logger) if logger else None,
    }


def _flat(callbacks: Sequence[Any] | Any) -> Iterable[Any]:
    if callbacks is None:
        return ()
    return callbacks if isinstance(callbacks, Iterable) else (callbacks,)


class _Reader:
    """Reads one callback of each kind, by the attributes in which Keras stores its arguments."""

    def __init__(self, names: Names, problems: Problems) -> None:
        self._names = names
        self._problems = problems

    def early_stopping(self, one: Any) -> Json:
        if one.baseline is not None:
            self._problems.add(f"EarlyStopping was given baseline={one.baseline!r}")
        return {
            **self._read_monitor(one),
            # Keras makes it negative if a smaller value is better.
            "min_delta": abs(one.min_delta),
            # In Keras, 0 means the same as 1: stop after one epoch without improvement.
            "patience": max(1, int(one.patience)),
            "start_from_epoch": int(one.start_from_epoch),
        }

    def reduce_lr(self, one: Any) -> Json:
        return {
            **self._read_monitor(one),
            "factor": float(one.factor),
            "patience": max(1, int(one.patience)),
            "min_delta": abs(one.min_delta),
            "cooldown": int(one.cooldown),
            "min_lr": float(one.min_lr),
        }

    def checkpoint(self, one: Any) -> Json:
        if one.save_freq != "epoch":
            self._problems.add(f"ModelCheckpoint was given save_freq={one.save_freq!r}; models are saved after epochs")
        if one.best is not None:
            self._problems.add(f"ModelCheckpoint was given initial_value_threshold={one.best!r}")
        filename, has_fields = self._filename(str(one.filepath))
        is_h5 = str(one.filepath).endswith((".h5", ".hdf5")) and not one.save_weights_only
        return {
            **self._read_monitor(one),
            "save_best_only": bool(one.save_best_only),
            "filename": filename,
            "format": "h5" if is_h5 else "keras",
            **({} if has_fields else {"keep": 1}),
        }

    def best_only(self, stopping: Any | None) -> Json:
        """Save only the best model, by the monitor of early stopping, else by the validation loss."""
        monitored = {"monitor": "val_loss", "mode": "auto"} if stopping is None else self._read_monitor(stopping)
        return {**monitored, "save_best_only": True, "keep": 1}

    def csv_logger(self, one: Any) -> Json:
        if one.append:
            self._problems.add("CSVLogger was given append=True; a job's log is complete from its first epoch")
        return {"separator": str(one.sep)}

    def _read_monitor(self, one: Any) -> Json:
        logged = self._names.logged(str(one.monitor))
        if logged is None:
            shown = ", ".join(self._names.shown)
            kind = type(one).__name__
            self._problems.add(f'{kind} monitors "{one.monitor}", which this model does not log; it logs {shown}')
        return {"monitor": logged or "auto", "mode": one.mode if one.mode in {"min", "max"} else "auto"}

    def _filename(self, filepath: str) -> tuple[str, bool]:
        """The template without its folder and its ending, its metrics by Fitstop's names, and whether it has fields."""
        name = PurePath(filepath).name
        ending = next((one for one in _ENDINGS if name.endswith(one)), "")
        parts, has_fields = [], False
        for literal, field, form, _ in string.Formatter().parse(name.removesuffix(ending)):
            parts.append(literal)
            if field is not None:
                has_fields = True
                known = field if field == "epoch" else self._names.logged(field) or field
                parts.append(f"{{{known}:{form}}}" if form else f"{{{known}}}")
        template = "".join(parts)
        return (template if has_fields or _FILENAME.fullmatch(template) else "auto"), has_fields
