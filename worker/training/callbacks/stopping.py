"""Stops a run between two batches when somebody asks for it."""

from typing import Any

import keras

from worker.training.stop_requests import StopRequests


class StopBetweenBatches(keras.callbacks.Callback):
    """Raises what `StopRequests.check` raises; the epoch in progress leaves no trace."""

    def __init__(self, requests: StopRequests) -> None:
        super().__init__()
        self._requests = requests

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        self._requests.check()

    def on_test_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        self._requests.check()
