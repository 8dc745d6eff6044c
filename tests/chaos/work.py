"""The jobs of a run: five specs of a few seconds each, with all that makes a resume hard."""

from typing import Any

from tests.support.jobs import learnable_frame, small_spec

DATASET = "grades"


def dataset_csv() -> bytes:
    """160 rows with a text column, as a client sends them."""
    return learnable_frame(160).to_csv(index=False).encode()


def _spec(seed: int, epochs: int, batch_size: int, learning_rate: float, patience: int) -> dict[str, Any]:
    return small_spec(
        dataset={"id": DATASET, "target": "grade", "positive": None},
        model={"layers": [8, 8], "dropout": 0.3, "batch_normalization": True},
        hyperparameters={"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate, "seed": seed},
        callbacks={
            "early_stopping": {"patience": patience, "min_delta": 0.001},
            "reduce_lr_on_plateau": {"patience": 3, "factor": 0.5, "cooldown": 1, "min_delta": 0.001},
            "model_checkpoint": {"keep": 3},
        },
    )


# The fourth runs out of epochs; early stopping ends the others.
SPECS: tuple[dict[str, Any], ...] = (
    _spec(seed=2, epochs=400, batch_size=16, learning_rate=0.01, patience=20),
    _spec(seed=5, epochs=400, batch_size=8, learning_rate=0.01, patience=15),
    _spec(seed=3, epochs=400, batch_size=32, learning_rate=0.01, patience=12),
    _spec(seed=4, epochs=30, batch_size=16, learning_rate=0.005, patience=30),
    _spec(seed=1, epochs=400, batch_size=16, learning_rate=0.005, patience=10),
)


def named(kind: int, number: int | str) -> dict[str, Any]:
    """The spec of a kind under a name that tells the kind, so that a job whose answer was lost is known too."""
    return {**SPECS[kind], "name": f"kind-{kind}-{number}"}


def kind_of(name: str) -> int:
    """The kind of the job of that name."""
    return int(name.split("-")[1])
