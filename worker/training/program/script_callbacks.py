"""The callbacks that a script passes to `fit`. They act as in Keras, and Fitstop observes them.

Every argument means the same as in Keras. Fitstop adds: their states in resume points, the script's own epoch numbers,
and which callback stopped the training.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import tree

from worker.training.program.keras_callbacks import is_of_keras, treatment_of
from worker.training.program.values import Arrays, NotPlain, decode, encode

# Attributes that Keras sets in each callback, and others that are never part of its state.
_NOT_STATE = frozenset(
    {"_model", "model", "params", "validation_data", "_chief_worker_only", "_supports_tf_logs", "async_safe"}
)
_BATCH_HOOKS = (
    *("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end"),
    *("on_test_batch_begin", "on_test_batch_end"),
)


class UnsuitableCallback(ValueError):
    """A callback with which a run cannot be resumed."""


@dataclass(frozen=True)
class Numbering:
    """How the script numbers epochs: the job's number minus `offset`. `params`: the parameters of its callbacks.

    `begun`: the job's epoch inside which the run resumes, whose `on_epoch_begin` was called before the interruption.
    """

    offset: int
    params: Mapping[str, Any] = field(default_factory=dict)
    begun: int | None = None


class ScriptCallbacks(keras.callbacks.Callback):
    """All callbacks of the script as one, in their order, and then a History if the script passes none.

    `stopped_by`: the callback that stopped the training, or None. `rates`: the learning rate before and after
    ReduceLROnPlateau at the end of the last epoch, if the script has one.
    """

    def __init__(self, callbacks: Sequence[Any], numbering: Numbering) -> None:
        super().__init__()
        histories = [one for one in callbacks if isinstance(one, keras.callbacks.History)]
        self.history = histories[-1] if histories else keras.callbacks.History()
        self.history.epoch = []
        self.callbacks = [one for one in callbacks if one is not self.history]
        self._all = [*callbacks] if histories else [*callbacks, self.history]
        self.stopped_by: Any = None
        self.rates: tuple[float, float] | None = None
        self._numbering = numbering
        self._saved: Arrays = []
        self._restoring: dict[str, Any] = {}
        self._plateau = self.find(keras.callbacks.ReduceLROnPlateau)

    def find(self, kind: type[Any]) -> Any:
        """The first callback of a class; None if there is none."""
        return next((one for one in self.callbacks if isinstance(one, kind)), None)

    def set_model(self, model: keras.Model) -> None:
        super().set_model(model)
        for one in self._all:
            one.set_model(model)
            if hasattr(one, "_set_monitor_op"):
                _settle_direction(one)

    def set_params(self, params: Any) -> None:  # noqa: ARG002
        self.params = dict(self._numbering.params)
        for one in self._all:
            one.set_params(self.params)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._call("on_train_begin", logs)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._call("on_train_end", logs)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if epoch == self._numbering.begun:
            return
        self._call("on_epoch_begin", epoch - self._numbering.offset, logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.rates = None
        self._call("on_epoch_end", epoch - self._numbering.offset, logs)

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._call("on_train_batch_begin", batch, logs)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._call("on_train_batch_end", batch, logs)

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._call("on_test_begin", logs)

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        self._call("on_test_end", logs)

    def on_test_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._call("on_test_batch_begin", batch, logs)

    def on_test_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._call("on_test_batch_end", batch, logs)

    def _call(self, hook: str, *arguments: Any) -> None:
        for one in self._all:
            was_stopped, before = self.model.stop_training, self._rate_before(one, hook)
            getattr(one, hook)(*arguments)
            if self.model.stop_training and not was_stopped:
                self.stopped_by = one
            if before is not None:
                self.rates = before, float(self.model.optimizer.learning_rate)

    def _rate_before(self, one: Any, hook: str) -> float | None:
        is_drop = one is self._plateau and hook == "on_epoch_end"
        return float(self.model.optimizer.learning_rate) if is_drop else None

    # Its state

    def state(self) -> dict[str, Any]:
        """The state of the callbacks, and the history."""
        self._saved = []
        stopped = self.callbacks.index(self.stopped_by) if self.stopped_by in self.callbacks else None
        return {
            "history": encode({"epoch": self.history.epoch, "history": self.history.history}, self._saved),
            "callbacks": [_state_of(one, self._saved) for one in self.callbacks],
            "stopped_by": stopped,
        }

    def arrays(self) -> Arrays:
        """The arrays of the last state."""
        return self._saved

    def restore(self, state: dict[str, Any]) -> None:
        """Remember the JSON values; `restore_arrays` restores the callbacks from them."""
        self._restoring = state

    def restore_arrays(self, arrays: Arrays) -> None:
        """Restore everything. Call after `on_train_begin`, which resets callbacks."""
        history = decode(self._restoring["history"], arrays)
        _restore_fields(self.history, history)
        stopped = self._restoring["stopped_by"]
        self.stopped_by = None if stopped is None else self.callbacks[stopped]
        for one, state in zip(self.callbacks, self._restoring["callbacks"], strict=True):
            _restore(one, decode(state, arrays))


def choose_callbacks(callbacks: Any) -> list[Any]:
    """The callbacks of a script without those that Fitstop replaces. Raises UnsuitableCallback."""
    given = list(_each(callbacks))
    for one in given:
        if not isinstance(one, keras.callbacks.Callback):
            raise UnsuitableCallback(f"callbacks holds {type(one).__name__}, expected keras.callbacks.Callback")
        name, treatment = type(one).__name__, treatment_of(one)
        if treatment.fate == "refused":
            raise UnsuitableCallback(f"{name} cannot be used: {treatment.note}")
        if treatment.fate == "replaced" and not is_of_keras(one):
            raise UnsuitableCallback(
                f"{name} cannot be used: it is derived from a callback that Fitstop replaces ({treatment.note}); "
                "derive it from keras.callbacks.Callback"
            )
    return [one for one in given if treatment_of(one).fate != "replaced"]


def _each(callbacks: Any) -> Iterator[Any]:
    """Yield each callback, also from nested lists and from Keras's CallbackList."""
    for one in tree.flatten(callbacks) if callbacks is not None else ():
        if type(one) is keras.callbacks.CallbackList:
            yield from one.callbacks
        else:
            yield one


def explain_lost_state(callback: Any) -> str | None:
    """Why a callback loses state in an interruption; None if it loses nothing."""
    name, treatment = type(callback).__name__, treatment_of(callback)
    if hasattr(callback, "get_state") and hasattr(callback, "set_state"):
        return None
    if treatment.fate == "epoch":
        return f"the callback {name}: {treatment.note}"
    if is_of_keras(callback):
        return None
    lost = [field for field, value in _fields(callback).items() if not _is_plain(value)]
    if not lost:
        return None
    return f"the callback {name} holds {', '.join(lost[:3])}, which cannot be saved; give it get_state and set_state"


def uses_batches(callback: Any) -> bool:
    """Whether a callback acts before or after a batch."""
    if treatment_of(callback).acts_on_batches(callback):
        return True
    defined = (one for one in type(callback).__mro__ if not one.__module__.startswith("keras."))
    own = {hook for one in defined for hook in _BATCH_HOOKS if hook in vars(one)}
    return bool(own) or any(hook in vars(callback) for hook in _BATCH_HOOKS)


def _fields(callback: Any) -> dict[str, Any]:
    left_out = _NOT_STATE | treatment_of(callback).not_state
    return {name: value for name, value in vars(callback).items() if name not in left_out}


def _is_plain(value: Any) -> bool:
    try:
        encode(value, [])
    except NotPlain:
        return False
    return True


def _state_of(callback: Any, arrays: Arrays) -> Any:
    if hasattr(callback, "get_state") and hasattr(callback, "set_state"):
        return encode({"own": callback.get_state()}, arrays)
    return encode({name: value for name, value in _fields(callback).items() if _is_plain(value)}, arrays)


def _restore(callback: Any, state: dict[str, Any]) -> None:
    if hasattr(callback, "get_state") and hasattr(callback, "set_state"):
        callback.set_state(state["own"])
    else:
        _restore_fields(callback, state)
    treatment_of(callback).reopen(callback)


def _restore_fields(callback: Any, fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        if not _refill(vars(callback).get(name), value):
            setattr(callback, name, value)


def _refill(held: Any, content: Any) -> bool:
    """Replace the content of a list, set or dict in place, since the script may refer to it; False for other types."""
    if type(held) is not type(content) or not isinstance(held, list | set | dict):
        return False
    held.clear()
    held.extend(content) if isinstance(held, list) else held.update(content)
    return True


def _settle_direction(callback: Any) -> None:
    """Make a callback choose min or max now. Choosing changes `min_delta`, so it must not come after a restore."""
    if callback.monitor_op is None:
        try:
            callback._set_monitor_op()
        except ValueError:
            return  # it raises the error itself at the end of the epoch
