"""The callbacks of Keras: how Fitstop treats each in a script, and what its state needs besides plain attributes.

A callback derived from one of them is treated in the same way. docs/scripts.md has the same table.
"""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import keras

# It resumes exactly; it resumes without memory of earlier epochs; Fitstop replaces it; or `fit` raises an error.
Fate = Literal["exact", "epoch", "replaced", "refused"]


def _never(callback: Any) -> bool:  # noqa: ARG001
    return False


def _nothing(callback: Any) -> None:
    """The default of `reopen`: do nothing."""


@dataclass(frozen=True)
class Treatment:
    """How a callback is treated; `note` explains it to people.

    `not_state` names attributes that are not part of its state. `acts_on_batches`: whether it acts before or after
    batches. `reopen` is called after its attributes and the working folder have been restored.
    """

    fate: Fate
    note: str
    not_state: frozenset[str] = frozenset()
    acts_on_batches: Callable[[Any], bool] = _never
    reopen: Callable[[Any], None] = _nothing


def _append(logger: Any) -> None:
    """Make a CSVLogger append to the restored file if it has rows."""
    if not logger.csv_file or logger.csv_file.closed:
        return
    logger.csv_file.close()
    logger.csv_file = open(logger.filename, "a")  # noqa: PTH123, SIM115  as Keras opens it
    if logger.keys is not None:
        names = ["epoch", *logger.keys]
        logger.writer = csv.DictWriter(logger.csv_file, names, dialect=csv.excel, delimiter=logger.sep)


def _write_new_files(board: Any) -> None:
    """Make a TensorBoard write new files next to the restored ones."""
    is_inside_fit = bool(board._prev_summary_state)
    if is_inside_fit:
        board._pop_writer()
    board._close_writers()
    board._writers = {}
    if is_inside_fit:
        board._push_writer(board._train_writer, board._global_train_batch)


_MONITOR = frozenset({"monitor_op"})

TREATMENTS: dict[str, Treatment] = {
    "Callback": Treatment("exact", "with plain attributes, or with `get_state` and `set_state`"),
    "CallbackList": Treatment("replaced", "its callbacks act one by one"),
    "BackupAndRestore": Treatment("replaced", "the job resumes by itself, so it writes nothing"),
    "CSVLogger": Treatment(
        "exact", "the file continues after the last row", frozenset({"csv_file", "writer"}), reopen=_append
    ),
    "EarlyStopping": Treatment("exact", "with all arguments; it is the job's evidence", _MONITOR),
    "History": Treatment("exact", "the script's own object is the one that `fit` returns"),
    "LambdaCallback": Treatment(
        "epoch", "variables that its functions change are not kept; write a callback class instead"
    ),
    "LearningRateScheduler": Treatment(
        "exact", "if its function returns the same value for the same epoch and rate", frozenset({"schedule"})
    ),
    "ModelCheckpoint": Treatment(
        "exact",
        "with all arguments; a number as `save_freq` needs the stock engine",
        _MONITOR,
        acts_on_batches=lambda one: bool(one.save_freq != "epoch"),
    ),
    "OrbaxCheckpoint": Treatment(
        "refused", "it writes in the background, and a resume point could hold half a checkpoint; use ModelCheckpoint"
    ),
    "ProgbarLogger": Treatment("replaced", "each epoch is one line of the job's output"),
    "ReduceLROnPlateau": Treatment("exact", "with all arguments; it is the job's evidence", _MONITOR),
    "RemoteMonitor": Treatment("exact", "it needs `network`, and may send an epoch twice"),
    "SwapEMAWeights": Treatment(
        "exact", "with `swap_on_epoch=True` and before ModelCheckpoint, saved models have the averaged weights"
    ),
    "TensorBoard": Treatment(
        "exact",
        "each attempt adds files with its new epochs; times in them are wall clock times",
        frozenset({"_writers", "_summary_module", "_prev_summary_state", "_previous_epoch_iterations"}),
        acts_on_batches=lambda one: bool(one.update_freq != "epoch" or one._should_trace),
        reopen=_write_new_files,
    ),
    "TerminateOnNaN": Treatment(
        "replaced", "a loss that is not finite always ends `fit` with an error, also with the fused engine"
    ),
}


def treatment_of(callback: keras.callbacks.Callback) -> Treatment:
    """The treatment of a callback, by the Keras class that it is or derives from."""
    base = next(kind for kind in type(callback).__mro__ if kind.__module__.startswith("keras."))
    return TREATMENTS.get(base.__name__, TREATMENTS["Callback"])


def is_of_keras(callback: Any) -> bool:
    """Whether a callback's class is Keras's own and not derived by a script."""
    return type(callback).__module__.startswith("keras.")
