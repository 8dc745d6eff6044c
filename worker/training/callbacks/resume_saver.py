"""Saves the run after epochs and inside long ones; restores a saved run when training starts."""

import time
from collections.abc import Mapping
from typing import Any

import keras

from worker.training.background import BackgroundWriter
from worker.training.resume.parts import Parts
from worker.training.resume.point import Place
from worker.training.resume.session import ResumeSession

# Maximum share of a run's time that saving may take.
_MOST_SHARE = 0.05


class ResumeSaver(keras.callbacks.Callback):
    """Comes after all callbacks with a state, so that it saves what they did in the epoch.

    Saves at the end of an epoch, and between two batches once the session's interval has passed, but less often if
    saving would take more than a twentieth of the time. Restores the run in `on_train_begin`, after Keras has reset the
    other callbacks there.
    """

    def __init__(
        self,
        session: ResumeSession,
        parts: Parts,
        writer: BackgroundWriter,
        *,
        is_inside_epochs: bool = True,
        unsaved_step: int | None = None,
    ) -> None:
        """If `is_inside_epochs` is false, the run is saved only at the end of epochs.

        After `unsaved_step` batches of an epoch, it is not saved before the end of that epoch.
        """
        super().__init__()
        self._is_inside_epochs = is_inside_epochs
        self._unsaved_step = unsaved_step
        self._session = session
        self._parts = parts
        self._writer = writer
        self._interval = session.interval_seconds
        self._resumed = session.resumed
        self._saved_at = time.monotonic()
        self._has_reported = False
        self._place: Place | None = None
        self._first_step = 0
        self._has_ended = False

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        if self._resumed is not None:
            self._session.restore(self._parts)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        self._first_step = 0
        if self._resumed is not None and self._resumed.place.step and epoch == self._resumed.place.epoch:
            self._first_step = self._resumed.place.step
            self._session.restore_inside_epoch()
        self._place = Place(epoch, self._first_step)

    def steps_done(self, step: int, logs: Mapping[str, Any]) -> None:  # noqa: ARG002
        assert self._place is not None
        self._place = Place(self._place.epoch, max(self._first_step, step))
        if self._unsaved_step is not None and step >= self._unsaved_step:
            self._place = None
        elif self._is_inside_epochs and self._is_due(self._interval):
            self.save_here()

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        # Keras resets the metrics for the validation, so the run cannot be saved until the end of the epoch.
        self._place = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        self._place = Place(epoch + 1, 0)
        is_stopped = bool(self.model.stop_training)
        if is_stopped or epoch + 1 == self._session.epochs or self._is_due(0.0):
            self.save_here(is_stopped=is_stopped)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        # Nothing may replace the point after the last epoch, which has the decision of early stopping.
        self._has_ended = True

    def save_finished(self, name: str) -> None:
        """Save the finished run as the record `name`, which is never removed."""
        place = self._place or self._session.place
        self._session.save(self._parts, place, is_stopped=True, finished=name)

    @property
    def place(self) -> str | None:
        """The run's position as `epoch:step` (both from 0); None while it cannot be saved."""
        return f"{self._place.epoch}:{self._place.step}" if self._place else None

    def save_here(self, *, is_stopped: bool = False) -> None:
        """Save the run at its position. Does nothing while it cannot be saved, and after training has ended."""
        if self._place is None or self._has_ended or (self._place.step and not self._is_inside_epochs):
            return
        self._session.save(self._parts, self._place, is_stopped=is_stopped)
        self._saved_at = time.monotonic()

    def _is_due(self, interval: float) -> bool:
        """Whether `interval` seconds have passed, and saving takes a small enough share of the time."""
        least = self._session.save_seconds / _MOST_SHARE
        if least > self._interval and not self._has_reported:
            self._has_reported = True
            self._session.report(
                f"saving the run takes {self._session.save_seconds:.1f} s, so it is saved every {least:.0f} s "
                f"and not every {self._interval:g} s"
            )
        return not self._writer.is_busy and time.monotonic() - self._saved_at >= max(interval, least)
