"""The sweeps that the sender looks at, and the events of each, derived from its files.

`settled_sweeps` has a line for each sweep whose end is in the queues of all webhooks that ask for it: its id, and the
number of extensions after which it ended. A sweep that is extended later runs again; its settled events are not sent
again.
"""

import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.shapes.sweeps import STATUS_OF_END
from api.state.webhook_store import EventType
from api.webhooks.facts import MOST_MESSAGE, Fact, Subject
from shared.document import UnusableDocument
from shared.durable import replace_file
from shared.problems import cut
from shared.sweep.ended import EndedSweeps
from shared.sweep.explain import explain
from shared.sweep.folder import SweepFolder, sweep_folder, sweep_ids
from shared.sweep.state import SweepReaderOf, SweepSummary
from shared.sweep.trial import TrialSummary
from shared.volume import Volume

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SeenSweep:
    """The result of a look at a sweep. `ended` is the number of extensions after which it ended; None while it runs."""

    sweep_id: str
    facts: list[Fact]
    ended: int | None


class SweepWatch:
    """The sweeps of a volume that are not settled. Raises OSError if a folder cannot be read or written."""

    def __init__(self, volume: Volume, folder: Path) -> None:
        self._volume = volume
        self._file = folder / "settled_sweeps"
        there = set(sweep_ids(volume))
        settled = {name: number for name, number in _read(self._file) if name in there}
        replace_file(self._file, b"".join(_line(*one) for one in settled.items()))
        self._settled = EndedSweeps(volume, settled.items())
        self._readers: dict[str, SweepReaderOf[TrialSummary]] = {}
        self._last: dict[str, tuple[int, bool]] = {}

    def is_settled(self, sweep_id: str) -> bool:
        """Whether the sender does not look at the sweep now. A deleted sweep is settled."""
        return sweep_id not in self._readers

    def look(self, since_ns: int) -> list[SeenSweep]:
        """Look at each sweep that runs or is not settled. `since_ns`: no webhook asks for earlier ends."""
        there = sweep_ids(self._volume)
        self._settled.look(there)
        for gone in self._readers.keys() - set(there):
            self._forget(gone)
        wanted = (name for name in reversed(there) if name not in self._settled)
        found = (self._look_at(name, since_ns) for name in wanted)
        return [one for one in found if one is not None]

    def settle(self, seen: Iterable[SeenSweep]) -> None:
        """Store that the ended sweeps are settled: they are not looked at again, unless they are extended."""
        ended = [(one.sweep_id, one.ended) for one in seen if one.ended is not None]
        if not ended:
            return
        with self._file.open("ab") as file:
            file.write(b"".join(_line(*one) for one in ended))
            file.flush()
            os.fsync(file.fileno())
        for sweep_id, number in ended:
            self._settled.add(sweep_id, number)
            self._forget(sweep_id)

    def _look_at(self, sweep_id: str, since_ns: int) -> SeenSweep | None:
        try:
            if sweep_id not in self._readers and (ended := self._find_end_before(sweep_id, since_ns)) is not None:
                return SeenSweep(sweep_id, [], ended)
            state = self._readers.setdefault(sweep_id, SweepReaderOf(self._volume, sweep_id, TrialSummary.of)).read_on()
        except UnusableDocument as error:
            log.debug("%s is skipped: %s", sweep_id, error)
            return None
        finished = (len(state.trials) - len(state.unfinished), state.end is not None) if state else None
        if state is None or finished is None or self._last.get(sweep_id) == finished:
            return None
        self._last[sweep_id] = finished
        found = [
            fact for fact in sweep_facts(self._volume, state) if fact.moment_ns > self._last_settled_moment(sweep_id)
        ]
        return SeenSweep(sweep_id, found, state.extensions if state.end else None)

    def _find_end_before(self, sweep_id: str, since_ns: int) -> int | None:
        """The number of extensions after which a sweep ended, if that was before `since_ns`; else None."""
        folder = self._folder(sweep_id)
        extensions = folder.count_extensions()
        moment = _moment_of(folder.end_file(extensions))
        return extensions if moment is not None and moment < since_ns else None

    def _last_settled_moment(self, sweep_id: str) -> int:
        """The time of the last settled end of the sweep, by the volume's clock; -1 if none is settled."""
        settled = self._settled.last_end(sweep_id)
        moment = None if settled is None else _moment_of(self._folder(sweep_id).end_file(settled))
        return -1 if moment is None else moment

    def _folder(self, sweep_id: str) -> SweepFolder:
        return sweep_folder(self._volume, sweep_id)

    def _forget(self, sweep_id: str) -> None:
        self._readers.pop(sweep_id, None)
        self._last.pop(sweep_id, None)


def sweep_facts(volume: Volume, state: SweepSummary) -> list[Fact]:
    """The events of a sweep, in order: each ended trial that was the best one until then, and the end."""
    folder = sweep_folder(volume, state.record.id)
    moments = [(trial, _moment_of(volume.job_folder(trial.job).result_file)) for trial in _best_in_order(state)]
    facts = [_best_fact(state, trial, moment) for trial, moment in moments if moment is not None]
    ended = _moment_of(folder.end_file(state.extensions))
    if state.end is None or ended is None:
        return facts
    key = f"finished-{state.extensions}" if state.extensions else "finished"
    outcome = {"status": STATUS_OF_END[state.end.reason], "reason": state.end.reason}
    body = _body("sweep.finished", state, state.end.ended_at, " ".join(explain(state)), state.best, **outcome)
    return [*facts, Fact("sweep.finished", key, _subject(state), ended, body)]


def _best_in_order(state: SweepSummary) -> Iterator[TrialSummary]:
    """The ended trials that each had the best value of those that had ended until then."""
    sign, best = (1.0 if state.mode == "max" else -1.0), float("-inf")
    ended = [trial for trial in state.trials if trial.is_finished and trial.finished_at is not None]
    for trial in sorted(ended, key=lambda one: (one.finished_at, one.number)):
        value = trial.best(state.mode)
        if value is not None and sign * value > best:
            best = sign * value
            yield trial


def _best_fact(state: SweepSummary, trial: TrialSummary, moment_ns: int) -> Fact:
    assert trial.finished_at is not None
    monitor = state.record.spec.objective.monitor
    message = f"Trial {trial.number} is the best so far: {monitor} {trial.best(state.mode):.4g}"
    body = _body("sweep.best", state, trial.finished_at, message, trial, status="running", reason=None)
    return Fact("sweep.best", f"best-{trial.number}", _subject(state), moment_ns, body)


def _subject(state: SweepSummary) -> Subject:
    spec = state.record.spec
    metadata = {str(key): str(value) for key, value in dict(spec.job.get("metadata") or {}).items()}
    return Subject(state.record.id, state.record.project, spec.name or "sweep", metadata)


def _body(
    kind: EventType, state: SweepSummary, at: str, message: str, best: TrialSummary | None, **outcome: str | None
) -> dict[str, Any]:
    subject = _subject(state)
    data = {
        "id": subject.id,
        "name": subject.name,
        "project": subject.project,
        "metadata": subject.metadata,
        **outcome,
        "message": cut(message, MOST_MESSAGE),
        "best": None if best is None else _best_report(state, best),
    }
    return {"type": kind, "timestamp": at, "data": data}


def _best_report(state: SweepSummary, best: TrialSummary) -> dict[str, Any]:
    return {
        "trial": best.number,
        "job": best.job,
        "monitor": state.record.spec.objective.monitor,
        "value": best.best(state.mode),
        "epoch": best.best_epoch(state.mode),
        "parameters": best.parameters,
    }


def _moment_of(path: Path) -> int | None:
    """The time of a file's last write by the volume's clock, in nanoseconds; None if it does not exist."""
    try:
        return path.stat(follow_symlinks=False).st_mtime_ns
    except FileNotFoundError:
        return None


def _read(file: Path) -> Iterator[tuple[str, int]]:
    for line in file.read_text().splitlines() if file.exists() else ():
        name, _, number = line.partition(" ")
        if number.isdecimal():
            yield name, int(number)


def _line(sweep_id: str, extensions: int) -> bytes:
    return f"{sweep_id} {extensions}\n".encode()
