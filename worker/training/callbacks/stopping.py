"""Stops a run between two batches if that is requested."""

from collections.abc import Mapping
from typing import Any

import keras

from worker.training.stop_requests import StopRequests


class StopBetweenBatches(keras.callbacks.Callback):
    """Raises what `StopRequests.check` raises. The unfinished epoch has no row in the log."""

    def __init__(self, requests: StopRequests) -> None:
        super().__init__()
        self._requests = requests

    def steps_done(self, step: int, logs: Mapping[str, Any]) -> None:  # noqa: ARG002
        self._requests.check()

    def validated(self, step: int) -> None:  # noqa: ARG002
        self._requests.check()
