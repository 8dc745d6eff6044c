"""Advances the sweeps on the volume: proposes trials, creates their jobs, stops trials that cannot win, ends sweeps.

Every worker does this each second, and after a trial in one of its slots. All workers compute the same steps, and only
one of them can create the file of a step. So a worker may be killed at any time.
"""

import logging
import threading
from contextlib import suppress

from shared.document import UnusableDocument
from shared.ids import new_job_id
from shared.job import JobError
from shared.open_job import OpenJob
from shared.problems import Refused
from shared.queue import JobQueue
from shared.resolve.memory import MemoryLimits
from shared.settings import Settings
from shared.settling import settle_if_decided
from shared.sweep.ended import EndedSweeps
from shared.sweep.folder import SweepFolder, TrialRecord, sweep_folder, sweep_ids
from shared.sweep.proposal import propose
from shared.sweep.quota import find_reason_to_wait
from shared.sweep.state import SweepReader, SweepState
from shared.sweep.steps import CancelTrial, Divide, End, MakeJob, Propose, Step, StopTrial, next_steps
from shared.sweep.trial_record import DataChanged, give_share, store_trial
from shared.times import utc_now
from shared.volume import Volume
from worker.supervisor.claim import log_set_aside

_MOST_ROUNDS = 1000

log = logging.getLogger(__name__)


class SweepRunner:
    """Advances all sweeps for one worker. Thread-safe."""

    def __init__(self, volume: Volume, job_queue: JobQueue, settings: Settings) -> None:
        self._volume = volume
        self._queue = job_queue
        self._quotas = settings.project_quotas
        self._limits = MemoryLimits(settings.max_table_bytes, settings.max_batch_bytes)
        self._readers: dict[str, SweepReader] = {}
        self._ended = EndedSweeps(volume)
        # The sweeps whose exception has been logged.
        self._stuck: set[str] = set()
        self._one_at_a_time = threading.Lock()

    def look(self) -> None:
        """Advance every unfinished sweep."""
        found = sweep_ids(self._volume)
        with self._one_at_a_time:
            self._ended.look(found)
            self._readers = {sweep_id: reader for sweep_id, reader in self._readers.items() if sweep_id in found}
        # The oldest first.
        for sweep_id in reversed(found):
            self.advance(sweep_id)

    def advance(self, sweep_id: str) -> None:
        """Advance one sweep as far as possible. A sweep that cannot be read is set aside; the others continue."""
        with self._one_at_a_time:
            if sweep_id in self._ended:
                return
            try:
                self._advance(sweep_id)
            except UnusableDocument as error:
                log_set_aside(sweep_id, str(error))
            except OSError as error:
                log.warning("%s waits until the volume works: %s", sweep_id, error)
            except Exception:
                # The edge: an error of this sweep must not stop the others, or the slot that calls.
                if sweep_id not in self._stuck:
                    log.exception("%s is not taken forward", sweep_id)
                self._stuck.add(sweep_id)

    def _advance(self, sweep_id: str) -> None:
        reader = self._readers.setdefault(sweep_id, SweepReader(self._volume, sweep_id))
        for _ in range(_MOST_ROUNDS):
            state = reader.read_on()
            if state is None:
                # Its folder exists, but its record is not written yet.
                return
            if state.end is not None:
                self._ended.add(sweep_id, state.extensions)
                self._readers.pop(sweep_id, None)
                return
            self._give_shares(state)
            full = find_reason_to_wait(self._volume, self._quotas, state.record)
            steps = next_steps(state, is_full=full is not None)
            if not steps:
                return
            for step in steps:
                self._do(step, state, sweep_folder(self._volume, sweep_id))

    def _give_shares(self, state: SweepState) -> None:
        """Write the shares of the budget to the jobs of trials, also those that a killed worker has not written."""
        for trial in state.unfinished:
            if state.shares and trial.number in state.shares.trials and trial.status != "proposed":
                with suppress(FileNotFoundError):
                    give_share(self._volume.job_folder(trial.job), state.record.id, trial.number, state.shares)

    def _do(self, step: Step, state: SweepState, folder: SweepFolder) -> None:
        match step:
            case Divide(shares):
                folder.divide(shares)
            case Propose():
                self._propose(step, state, folder)
            case MakeJob(trial):
                record = folder.trial(trial.number)
                if record is not None:
                    self._make_job(record, state, folder)
            case StopTrial(trial, request):
                log.info("%s: trial %d is stopped", folder.id, trial.number)
                self._volume.job_folder(trial.job).request_stop(request)
            case CancelTrial(trial):
                self._cancel(trial.job)
            case End(reason, message):
                log.info("%s has ended: %s", folder.id, message)
                folder.end(reason, message, state.extensions)

    def _propose(self, step: Propose, state: SweepState, folder: SweepFolder) -> None:
        trial = TrialRecord(
            number=step.number,
            parameters=propose(state.record.spec, state.trials, step.number),
            job=new_job_id(),
            proposed_at=utc_now(),
            unfinished=step.unfinished,
        )
        if folder.propose(trial):
            self._make_job(trial, state, folder)

    def _make_job(self, trial: TrialRecord, state: SweepState, folder: SweepFolder) -> None:
        try:
            job = store_trial(self._volume, state.record, trial, self._limits, state.shares)
        except DataChanged as error:
            # An unmounted volume has no data, either, so check that first.
            self._volume.check()
            folder.refuse(trial.number, JobError(code=error.code, message=str(error)))
        except Refused as error:
            folder.refuse(trial.number, JobError(code="refused", message=str(error)))
        else:
            self._queue.notify(job.id)

    def _cancel(self, job_id: str) -> None:
        job = self._volume.job_folder(job_id)
        job.request_cancel()
        state = job.state()
        if state is not None and settle_if_decided(job, state):
            self._volume.close_job(OpenJob.of(state.record))
