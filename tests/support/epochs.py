"""Events of epochs, written by hand as the training program writes them."""

from typing import Any

from shared.events import Event, EventWriter
from shared.job_folder import AttemptFolder


def epoch(number: int, value: float, wait: int = 0, patience: int = 10, epochs: int = 1000) -> Event:
    """The event of an epoch whose val_accuracy is `value`, `wait` epochs after the best epoch."""
    best = max(1, number - wait)
    facts: dict[str, Any] = {
        "epoch": number,
        "epochs": epochs,
        "metrics": {"loss": 1.0 / number, "accuracy": value, "val_loss": 1.1 / number, "val_accuracy": value},
        "learning_rate": 0.001,
        "seconds": 0.05,
        "best": {"epoch": best, "monitor": "val_accuracy", "value": value},
        "early_stopping": {
            "monitor": "val_accuracy",
            "wait": wait,
            "patience": patience,
            "stops_at_epoch": min(epochs, best + patience),
            "last_improvement": {"epoch": best, "value": value, "min_delta": 0.001},
        },
        "reduce_lr": {"wait": 0, "patience": 10},
    }
    return Event("epoch", f"epoch {number}", facts)


def tell(attempt: AttemptFolder, *events: Event) -> None:
    """Append events to those of an attempt."""
    with EventWriter(attempt.events_file) as writer:
        writer.write(events)
