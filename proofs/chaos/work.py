"""The jobs of a run: six specs that are hard to resume, short for the tests and long for `make chaos`."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tests.support.jobs import learnable_frame, small_spec

DATASET = "grades"
# The kind that its budget ends. It has no twin, because its last epoch depends on what was lost.
BUDGET_KIND = 5


@dataclass(frozen=True)
class Load:
    """How long the jobs are: rows of data, units of each layer, epochs, patience, and a budget in GPU seconds."""

    rows: int
    width: int
    batch_size: int
    epochs: int
    patience: int
    gpu_seconds: float

    def dataset_csv(self) -> bytes:
        """The data with a text column, as a client sends it."""
        return learnable_frame(self.rows).to_csv(index=False).encode()

    @cached_property
    def specs(self) -> tuple[dict[str, Any], ...]:
        """One for each kind. The fourth runs out of epochs, the last of its budget; early stopping ends the others."""
        ended_by_budget = self._spec(seed=6, scale=1, learning_rate=0.005, epochs=100_000, patience=None)
        return (
            self._spec(seed=2, scale=2, learning_rate=0.01, epochs=400, patience=2 * self.patience),
            self._spec(seed=5, scale=1, learning_rate=0.01, epochs=400, patience=3 * self.patience // 2),
            self._spec(seed=3, scale=4, learning_rate=0.01, epochs=400, patience=self.patience),
            self._spec(seed=4, scale=2, learning_rate=0.005, epochs=self.epochs, patience=self.epochs),
            self._spec(seed=1, scale=2, learning_rate=0.005, epochs=400, patience=self.patience),
            {**ended_by_budget, "budget": {"max_gpu_seconds": self.gpu_seconds}},
        )

    def named(self, kind: int, number: int | str) -> dict[str, Any]:
        """The spec of a kind. Its name contains the kind, so that a job whose answer was lost is recognized too."""
        return {**self.specs[kind], "name": f"kind-{kind}-{number}"}

    def _spec(self, seed: int, scale: int, learning_rate: float, epochs: int, patience: int | None) -> dict[str, Any]:
        rule = None if patience is None else {"patience": patience, "min_delta": 0.001}
        return small_spec(
            dataset={"id": DATASET, "target": "grade", "positive": None},
            model={"layers": [self.width, self.width], "dropout": 0.3, "batch_normalization": True},
            hyperparameters={
                "epochs": epochs,
                "batch_size": self.batch_size * scale,
                "learning_rate": learning_rate,
                "seed": seed,
            },
            callbacks={
                "early_stopping": rule,
                "reduce_lr_on_plateau": {"patience": 3, "factor": 0.5, "cooldown": 1, "min_delta": 0.001},
                "model_checkpoint": {"keep": 3},
            },
        )


# Jobs of a few seconds, and jobs of 20 s and more beside another job on two cores.
SHORT = Load(rows=160, width=8, batch_size=8, epochs=30, patience=10, gpu_seconds=6)
LONG = Load(rows=100_000, width=32, batch_size=8, epochs=60, patience=20, gpu_seconds=30)


def other_csv(number: int) -> bytes:
    """Data that no job trains on, different for each number; a few hundred kilobytes."""
    cells = np.random.default_rng(number).normal(size=(6000, 4))
    return ("a,b,c,d\n" + "\n".join(",".join(f"{cell:.6f}" for cell in row) for row in cells) + "\n").encode()


def kind_of(name: str) -> int:
    """The kind of the job with that name."""
    return int(name.split("-")[1])
