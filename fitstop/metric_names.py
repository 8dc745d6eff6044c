"""Names of metrics: those in the user's own model, and those that Fitstop logs for the same numbers."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fitstop.client import Json

# The field of a job's metadata that holds the names where they differ.
FIELD = "keras_metrics"
_MOST_TEXT = 512
_VALIDATION = "val_"

# By the words of Keras without underscores: its classes, its functions and the short forms.
_MEANT = {
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


def meant_metric(name: str) -> str | None:
    """The metric of Fitstop that a name of Keras's means; None where there is none."""
    return _MEANT.get(name.replace("_", "").lower())


@dataclass(frozen=True)
class Names:
    """The names of the metrics, Keras's to Fitstop's, without `val_`; the loss is among them."""

    pairs: Mapping[str, str]

    @property
    def shown(self) -> list[str]:
        """Every name that Keras would log."""
        return [*self.pairs, *(f"{_VALIDATION}{name}" for name in self.pairs)]

    def logged(self, monitor: str) -> str | None:
        """The name in Fitstop's logs of what a callback monitors; None where the model does not log it.

        Another name of the same metric is taken too: `val_acc` for `val_accuracy`.
        """
        prefix = _VALIDATION if monitor.startswith(_VALIDATION) else ""
        name = monitor.removeprefix(prefix)
        known = self.pairs.get(name) or meant_metric(name)
        return f"{prefix}{known}" if known in self.pairs.values() else None

    def history(self, epochs: Iterable[Json]) -> dict[str, list[float]]:
        """The metrics of each epoch under the names that Keras would have used; NaN where one was not finite."""
        found: dict[str, list[float]] = {}
        rows = list(epochs)
        for shown in self.shown:
            logged = self.logged(shown)
            if any(logged in row["metrics"] for row in rows):
                found[shown] = [_number(row["metrics"].get(logged)) for row in rows]
        return found

    def as_metadata(self) -> dict[str, str]:
        """What a job remembers of the names; nothing where they are its own."""
        text = json.dumps(dict(self.pairs), separators=(",", ":"))
        is_needed = any(name != own for name, own in self.pairs.items())
        return {FIELD: text} if is_needed and len(text) <= _MOST_TEXT else {}


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def names_of(spec: Json) -> Names:
    """The names of a job's metrics, from its spec with nothing left open."""
    metrics = (spec.get("hyperparameters") or {}).get("metrics") or []
    logged = ["loss", *(metrics if isinstance(metrics, list) else [])]
    try:
        own = {str(name): str(one) for name, one in json.loads(spec["metadata"][FIELD]).items()}
    except (KeyError, TypeError, ValueError, AttributeError):
        own = {}
    named = {name: one for name, one in own.items() if one in logged}
    return Names({**named, **{one: one for one in logged if one not in named.values()}})
