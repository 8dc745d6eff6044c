"""Stops a run between two batches on request."""

from collections.abc import Mapping
from typing import Any

import keras

from worker.training.stop_requests import StopRequests


class StopBetweenBatches(keras.callbacks.Callback):
    """Raises what `StopRequests.check` raises; the epoch in progress leaves no trace."""

    def __init__(self, requests: StopRequests) -> None:
        super().__init__()
        self._requests = requests

    def steps_done(self, step: int, logs: Mapping[str, Any]) -> None:  # noqa: ARG002
        self._requests.check()

    def validated(self, step: int) -> None:  # noqa: ARG002
        self._requests.check()
