"""Finds, restores and saves the resume points of one run."""

import logging
import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from shared.events import Event
from shared.fits import Kept
from shared.job_folder import AttemptFolder
from shared.problems import list_names
from worker.training.context import RunContext
from worker.training.fit_settings import FitSettings
from worker.training.recent import RecentSeconds
from worker.training.resume.computed_by import computed_by, differences
from worker.training.resume.parts import Parts, Stateful, WithArrays
from worker.training.resume.point import DamagedPoint, Place, ResumePoint
from worker.training.resume.state import (
    capture_random,
    check_random,
    check_tensors,
    restore_metrics,
    restore_random,
    restore_tensors,
    snapshot_tensors,
)
from worker.training.resume.store import newest_point, owner_of, remove_replaced, save_point
from worker.training.resume.take_over import check_log, check_manifest, take_over

log = logging.getLogger(__name__)

# Adapts a point of an earlier attempt to this run; returns None for a point of another run of the job.
Accept = Callable[[ResumePoint, AttemptFolder], ResumePoint | None]


class ResumeSession:
    """Finds the point from which a run continues when it is created, restores it, and saves new points.

    `resumed` is that point; None if the run starts at its first epoch.
    """

    def __init__(
        self, run: RunContext, model: keras.Model, fit: FitSettings, accept: Accept, finished: str | None = None
    ) -> None:
        """`finished`: the file name of the record of this run after it has ended.

        If such a record exists, it is the point, and `finished_by` is its attempt.
        """
        self._accept = accept
        self._finished = finished
        self.finished_by: AttemptFolder | None = None
        self.interval_seconds = run.settings.resume_seconds
        self._reserve_bytes = run.settings.volume_reserve_bytes
        self.epochs, self._first_epoch = fit.epochs, fit.first_epoch
        self.attempt = run.attempt
        self._saving = RecentSeconds()
        self._writer = run.writer
        self._model = model
        self._events = run.events
        self._record = run.record
        self._owner = owner_of(run.attempt.job.spec_file.read_bytes())
        self._built_with = computed_by()
        self._resumed_from: Path | None = None
        self._has_replaced_all = False
        self._kept_manifests: deque[set[str]] = deque(maxlen=2)
        self.resumed = self._find()

    @property
    def place(self) -> Place:
        """Where the run starts or resumes."""
        return self.resumed.place if self.resumed else Place(self._first_epoch, 0)

    @property
    def save_seconds(self) -> float:
        """Median of the seconds that the writer thread took for recent saves."""
        return self._saving.usual

    @property
    def was_stopped(self) -> bool:
        """Whether a callback had ended training already, so that no epoch is left to run."""
        return self.resumed is not None and self.resumed.is_stopped

    def restore(self, parts: Parts) -> None:
        """Restore everything except the metrics of an unfinished epoch."""
        assert self.resumed is not None
        restore_tensors(self._model, self.resumed)
        restore_random(self.resumed)
        for name, callback in parts.stateful.items():
            self._restore_callback(name, callback, self.resumed.callbacks.get(name, {}))
            if isinstance(callback, WithArrays):
                callback.restore_arrays(_arrays_of(name, self.resumed))

    def _restore_callback(self, name: str, callback: Stateful, saved: dict[str, Any]) -> None:
        """Restore a callback's state. Values that an older version did not save start from their defaults."""
        fresh = callback.state()
        callback.restore({key: saved.get(key, value) for key, value in fresh.items()})
        missing = [key for key in fresh if key not in saved]
        if missing:
            self.report_inexact(
                f"the resume point holds no {list_names(missing)} of {name}, which starts from its default"
            )

    def restore_inside_epoch(self) -> None:
        """Restore the metrics of the unfinished epoch."""
        assert self.resumed is not None
        restore_metrics(self._model, self.resumed)

    def save(self, parts: Parts, place: Place, *, is_stopped: bool, finished: str | None = None) -> None:
        """Save the run at `place` in the writer thread, which then removes what no point needs any more.

        With `finished` the file is the record of a run that has ended, with that name.
        """
        log_bytes = parts.log.length if parts.log else 0
        states = {name: callback.state() for name, callback in parts.stateful.items()}
        random = capture_random()
        tensors = (*snapshot_tensors(self._model, inside_epoch=place.step > 0), *_callback_arrays(parts))

        def write() -> None:
            began = time.monotonic()
            point = ResumePoint(
                place=place,
                is_stopped=is_stopped,
                owner=self._owner,
                built_with=self._built_with,
                callbacks=states,
                manifest=parts.checkpoints.manifest.model_dump(mode="json") if parts.checkpoints else {},
                log_bytes=log_bytes,
                log_sha256=parts.log.sync_and_hash(log_bytes) if parts.log else "",
                random=random,
                tensors=tensors,
            )
            self._events.sync()
            save_point(self.attempt, point, self._reserve_bytes, finished)
            if parts.checkpoints:
                self._kept_manifests.append({one.name for one in parts.checkpoints.manifest.checkpoints})
                parts.checkpoints.clear_away(set().union(*self._kept_manifests))
            self._remove_replaced()
            self._saving.add(time.monotonic() - began)

        self._writer.write(write)

    def _remove_replaced(self) -> None:
        if not os.access(self.attempt.path.parent, os.W_OK):
            return  # the process of a program may not remove them; the next attempt does (`remove_older`)
        try:
            self._has_replaced_all = self._has_replaced_all or remove_replaced(self.attempt, self._resumed_from)
        except OSError as error:
            log.warning("what this attempt replaces could not be removed yet: %s", error)

    def report(self, message: str, level: Any = "warning", **facts: Any) -> None:
        """Write an event of type "resume"."""
        self._events.write([Event("resume", message, facts, level)])

    def report_inexact(self, reason: str, kind: Kept = "inexact") -> None:
        """Report that from now on the run may differ from one that was not interrupted, and why."""
        self.report(f"not an exact resume: {reason}", exact=False, kind=kind)

    def _find(self) -> ResumePoint | None:
        found = newest_point(self.attempt, self._usable, self.report, self._finished)
        if found is None:
            return None
        earlier, path, point = found
        take_over(earlier, self.attempt, point)
        if path.name == self._finished:
            self.finished_by = earlier
            return point
        self._resumed_from = path
        self.report_place(point.place, earlier)
        changed = differences(point.built_with, self._built_with)
        if changed:
            self.report_inexact(f"the numbers may differ in their last bits ({'; '.join(changed)})")
        return point

    def report_place(self, place: Place, earlier: AttemptFolder) -> None:
        """Report where this attempt resumes, and which attempt or job it continues."""
        facts = {"epoch": place.epoch + 1, "batch": place.step, "from_attempt": earlier.number}
        whose = f"attempt {earlier.number}" if earlier.number else self._record.extends
        self.report(f"resumed at {place} from {whose}", "info", **facts)

    def _usable(self, earlier: AttemptFolder, found: ResumePoint) -> ResumePoint | None:
        point = self._accept(found, earlier)
        if point is None:
            return None
        check_log(earlier, point)
        check_manifest(point)
        check_tensors(self._model, point)
        check_random(point)
        _check_states(point)
        return point


def _callback_arrays(parts: Parts) -> tuple[tuple[str, Any], ...]:
    return tuple(
        (f"callback:{name}:{index}", array)
        for name, callback in parts.stateful.items()
        if isinstance(callback, WithArrays)
        for index, array in enumerate(callback.arrays())
    )


def _arrays_of(name: str, point: ResumePoint) -> list[Any]:
    return [array for tensor, array in point.tensors if tensor.startswith(f"callback:{name}:")]


def _check_states(point: ResumePoint) -> None:
    states: Any = point.callbacks
    if not isinstance(states, dict) or not all(isinstance(state, dict) for state in states.values()):
        raise DamagedPoint("it has no state of the callbacks")
