"""Sees every file operation and every batch of a world, and reports which promise was broken, and when."""

import os
from collections.abc import Callable
from typing import Any

from proofs.simulation.kernel import Process
from shared.job import AttemptEnd, JobResult
from shared.job_folder import JobFolder
from shared.settings import Settings
from shared.volume import Volume

# Created once, by the first process that tries, and never changed.
_ONCE = frozenset({"spec.json", "cancel.json", "claim.json", "conclusion.json", "end.json", "result.json"})


class Trainer:
    """The training process of one attempt, as the eye sees it."""

    def __init__(self, job: str, attempt: int, process: Process) -> None:
        self.job = job
        self.attempt = attempt
        self.process = process
        self.is_in_a_batch = False
        self.has_trained_to_the_end = False
        self._thaws = 0

    def looks(self) -> None:
        """Note that it begins to check whether it may continue."""
        self.is_in_a_batch = False
        self._thaws = self.process.thaws

    @property
    def is_live(self) -> bool:
        """Whether it trains. After a freeze it may end its batch, so it does not count until its next check."""
        alive = self.process.is_alive and not self.process.is_frozen
        return alive and self.is_in_a_batch and self.process.thaws == self._thaws


class Eye:
    """`now` returns the time of the world."""

    def __init__(self, root: str, now: Callable[[], float]) -> None:
        self.placed: set[str] = set()
        self.trainers: list[Trainer] = []
        self.posted: list[str] = []
        self.broken: list[str] = []
        self.tell: Callable[[str], None] | None = None
        self._root = root
        self._open = f"{root}/open"
        self._marked: set[str] = set()
        # By the folders of attempts: the first resume point, and the attempts that had one before their end.
        self._saved: dict[str, str] = {}
        self._saved_before_end: set[str] = set()
        self._now = now
        self._looks = {"link": self._placed, "replace": self._placed, "rename": self._placed, "unlink": self._removed}

    def sees(self, operation: str, arguments: tuple[Any, ...]) -> None:
        """Check a file operation that was done."""
        if self.tell is not None and operation in {"link", "replace", "rename", "unlink"}:
            self.notes(f"{operation} {os.fspath(arguments[-1]).removeprefix(self._root)}")
        look = self._looks.get(operation)
        if operation == "open" and arguments[1] & os.O_CREAT:
            self._placed(os.fspath(arguments[0]))
        if look is not None:
            look(os.fspath(arguments[-1]))

    def notes(self, what: str) -> None:
        """Report what happens, if `tell` is set."""
        if self.tell is not None:
            self.tell(f"{self._now():10.3f}  {what}")

    def begins_a_batch(self, trainer: Trainer) -> None:
        """Check that no other trainer of the job is live, that is, has checked since it was last frozen."""
        trainer.is_in_a_batch = True
        self.notes(f"batch of {trainer.job}, attempt {trainer.attempt}")
        others = [other for other in self.trainers if other.job == trainer.job and other is not trainer]
        live = [other.attempt for other in others if other.is_live]
        if trainer.is_live and live:
            self._breaks(f"{trainer.job} has two live trainers: attempts {trainer.attempt} and {live}")

    def _placed(self, path: str) -> None:
        folder, _, name = path.rpartition("/")
        if folder == self._open:
            self._marked.add(name.partition("-")[2].partition(".")[0])
        if name.startswith("point-"):
            self._saved.setdefault(folder.removesuffix("/resume"), name)
        if name not in _ONCE or not folder.startswith(self._root):
            return
        if name == "end.json" and folder in self._saved:
            self._saved_before_end.add(folder)
        if path in self.placed:
            self._breaks(f"{path} was written twice")
        self.placed.add(path)
        if name == "claim.json":
            self._claimed(folder)
        elif name == "spec.json" and not self._is_marked(folder):
            self._breaks(f"{path} is there and the job is not marked")

    def _claimed(self, folder: str) -> None:
        attempts, _, number = folder.rpartition("/")
        job = attempts.rpartition("/")[0]
        if int(number) > 1 and f"{attempts}/{int(number) - 1}/end.json" not in self.placed:
            self._breaks(f"{folder} was claimed before the attempt before it had ended")
        if f"{job}/result.json" in self.placed:
            # Allowed if the claimer checks again and hands the job back. It must not start a trainer.
            self.placed.add(f"{folder}/too late")

    def starts(self, trainer: Trainer, folder: str) -> None:
        """Add a training process that begins."""
        self.trainers.append(trainer)
        if f"{folder}/too late" in self.placed:
            self._breaks(f"{folder} trains a job that was over before it was claimed")

    def _removed(self, path: str) -> None:
        folder, _, name = path.rpartition("/")
        if name in _ONCE:
            self._breaks(f"{path} was removed")
        if folder == self._open and not name.startswith("."):
            job_id = name.partition("-")[2].partition(".")[0]
            self._marked.discard(job_id)
            job = f"{self._root}/jobs/{job_id[-2:]}/{job_id}"
            if f"{job}/spec.json" in self.placed and f"{job}/result.json" not in self.placed:
                self._breaks(f"the marker {name} of a job without a result was removed")

    def _is_marked(self, folder: str) -> bool:
        return folder.rpartition("/")[2] in self._marked

    def judges_the_end(self, volume: Volume, settings: Settings) -> None:
        """Judge the volume when everything is quiet and every fault has ended."""
        there = [job_id for job_id in volume.job_ids() if volume.job(job_id) is not None]
        for job_id in there:
            self._judge(volume.job_folder(job_id), settings)
        gone = [job_id for job_id in self.posted if job_id not in there]
        if gone:
            self._breaks(f"{gone} were acknowledged and are gone")
        open_jobs = [one.job_id for one in volume.open_jobs() if volume.job(one.job_id) is not None]
        if open_jobs:
            self._breaks(f"{open_jobs} have their results and are still marked")
        if [trainer for trainer in self.trainers if trainer.process.is_alive]:
            self._breaks("a trainer is left over")

    def _judge(self, job: JobFolder, settings: Settings) -> None:
        result = job.result()
        ends = {attempt.number: attempt.end() for attempt in job.attempts()}
        if result is None:
            self._breaks(f"{job.id} is lost: it has no result when all is quiet; its attempts ended {ends}")
            return
        # A worker that claims a job just when it is cancelled in the queue may die before it hands the job back.
        is_whole = None not in ends.values() or result.attempt is None
        if sorted(ends) != list(range(1, len(ends) + 1)) or not is_whole:
            self._breaks(f"{job.id} has its result and its attempts ended {ends}")
        deciding = [number for number, end in ends.items() if end is not None and end.ending is not None]
        if result.attempt is None:
            told = {end.ending.status for end in ends.values() if end is not None and end.ending is not None}
            if result.ending.status != "cancelled" or "succeeded" in told:
                self._breaks(f"{job.id} was {result.ending.status} by nobody, and its attempts say {told}")
        elif deciding != [result.attempt] or ends[result.attempt].ending != result.ending:  # type: ignore[union-attr]
            self._breaks(f"{job.id}: the result is of attempt {result.attempt}, and {deciding} decided")
        self._judge_status(job, result, ends, settings)

    def _judge_status(
        self, job: JobFolder, result: JobResult, ends: dict[int, AttemptEnd | None], settings: Settings
    ) -> None:
        if result.ending.status == "cancelled" and job.cancel() is None:
            self._breaks(f"{job.id} is cancelled and nobody asked for it")
        if result.ending.status == "succeeded" and not self._trained(job.id, result.attempt):
            self._breaks(f"{job.id} has succeeded and attempt {result.attempt} did not train to its end")
        self._judge_limits(job, ends, settings)

    def _judge_limits(self, job: JobFolder, ends: dict[int, AttemptEnd | None], settings: Settings) -> None:
        """Check that failures and losses count in a row without progress, each with its limit, which ends the job."""
        failures = losses = 0
        for number, end in ends.items():
            if end is None:
                continue
            has_saved = str(job.attempts_folder / str(number)) in self._saved_before_end
            # A worker that is taken for lost may save a point while its end is decided.
            is_known = end.outcome == "handed_back" or (end.error is not None and end.error.code == "killed")
            if (end.has_progress and not has_saved) or (is_known and end.has_progress != has_saved):
                self._breaks(f"{job.id}, attempt {number}: its end says {end.has_progress} of its progress")
            if end.is_failure == end.is_loss and end.outcome in {"failed", "lost"}:
                self._breaks(f"{job.id}, attempt {number} {end.outcome} and counts as both or as nothing")
            if end.is_loss and end.retry_at is not None:
                self._breaks(f"{job.id}, attempt {number} was lost and costs a back-off")
            failures, losses = (0, 0) if end.has_progress else (failures + end.is_failure, losses + end.is_loss)
            is_over = failures >= settings.max_failures or losses >= settings.max_losses
            if end.outcome in {"failed", "lost"} and (end.ending is not None) != is_over:
                self._breaks(f"{job.id}, attempt {number}: {failures} failures, {losses} losses, and it ended {end}")

    def _trained(self, job_id: str, attempt: int | None) -> bool:
        return any(
            (one.job, one.attempt, one.has_trained_to_the_end) == (job_id, attempt, True) for one in self.trainers
        )

    def _breaks(self, what: str) -> None:
        self.broken.append(f"at {self._now():.3f} s: {what}")
