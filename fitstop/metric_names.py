"""Maps the names of metrics in the user's own model to the names under which Fitstop logs them."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fitstop.client import Json

# The field of a job's metadata that stores the names if they differ.
FIELD = "keras_metrics"
_MOST_TEXT = 512
_VALIDATION = "val_"

# By Keras's names without underscores: of its classes, its functions and the short forms.
_EQUIVALENT = {
    "acc": "accuracy",
    "accuracy": "accuracy",
    "binaryaccuracy": "accuracy",
    "categoricalaccuracy": "accuracy",
    "sparsecategoricalaccuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "auc": "auc",
    "f1score": "f1",
    "topkcategoricalaccuracy": "top_5_accuracy",
    "sparsetopkcategoricalaccuracy": "top_5_accuracy",
    "mae": "mae",
    "meanabsoluteerror": "mae",
    "mse": "mse",
    "meansquarederror": "mse",
    "rootmeansquarederror": "rmse",
    "r2score": "r2",
}


def equivalent_metric(name: str) -> str | None:
    """Fitstop's name for a metric of Keras; None if Fitstop has no such metric."""
    return _EQUIVALENT.get(name.replace("_", "").lower())


@dataclass(frozen=True)
class Names:
    """The names of the metrics and the loss, Keras's to Fitstop's, without `val_`."""

    pairs: Mapping[str, str]

    @property
    def shown(self) -> list[str]:
        """Every name that Keras would log."""
        return [*self.pairs, *(f"{_VALIDATION}{name}" for name in self.pairs)]

    def logged(self, monitor: str) -> str | None:
        """Fitstop's name for the monitor of a callback; None if the model does not log it.

        Other names of the same metric are accepted, such as `val_acc` for `val_accuracy`.
        """
        prefix = _VALIDATION if monitor.startswith(_VALIDATION) else ""
        name = monitor.removeprefix(prefix)
        known = self.pairs.get(name) or equivalent_metric(name)
        return f"{prefix}{known}" if known in self.pairs.values() else None

    def history(self, epochs: Iterable[Json]) -> dict[str, list[float]]:
        """The metrics of each epoch under the names that Keras would use; NaN for a value that was not finite."""
        found: dict[str, list[float]] = {}
        rows = list(epochs)
        for shown in self.shown:
            logged = self.logged(shown)
            if any(logged in row["metrics"] for row in rows):
                found[shown] = [_number(row["metrics"].get(logged)) for row in rows]
        return found

    def as_metadata(self) -> dict[str, str]:
        """The names as metadata of a job; empty if they are the same as Fitstop's."""
        text = json.dumps(dict(self.pairs), separators=(",", ":"))
        is_needed = any(name != own for name, own in self.pairs.items())
        return {FIELD: text} if is_needed and len(text) <= _MOST_TEXT else {}


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def names_of(spec: Json) -> Names:
    """The names of a job's metrics, from its complete spec."""
    metrics = (spec.get("hyperparameters") or {}).get("metrics") or []
    logged = ["loss", *(metrics if isinstance(metrics, list) else [])]
    try:
        own = {str(name): str(one) for name, one in json.loads(spec["metadata"][FIELD]).items()}
    except (KeyError, TypeError, ValueError, AttributeError):
        own = {}
    named = {name: one for name, one in own.items() if one in logged}
    return Names({**named, **{one: one for one in logged if one not in named.values()}})
