"""Judges the promises from the volume and the append-only log alone, and shows the verdict as a table."""

import itertools
import statistics
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from proofs.chaos import work
from proofs.chaos.outcomes import differences, outcome_of, torn_files
from proofs.chaos.record import Record
from proofs.chaos.trainers import lives, overlaps
from shared.job_folder import AttemptFolder, JobFolder
from shared.volume import Volume
from tests.support.killing import Outcome

# The error codes with which the monkey may end an attempt. Any other is a fault of the product.
_EXPLAINED = {"killed", "worker_lost", "no_child"}
_EXPLAINED |= {"volume_full", "volume_error", "data_missing", "worker_disk_full", "worker_disk_error"}
# After a local fault a worker that cannot recover ends with 1, and one that was just starting with 2.
_SICK_STATUSES, _SICK_SECONDS = {1, 2}, 120.0
# How far a job may exceed its budget: it measures its own exit, on a machine as busy as this one.
_BUDGET_SLACK_SECONDS = 3.0


@dataclass
class Verdict:
    """`broken` holds, for each promise, every case in which it was broken; `numbers` the other measurements."""

    seed: int
    broken: dict[str, list[str]] = field(default_factory=dict)
    numbers: dict[str, Any] = field(default_factory=dict)

    @property
    def is_kept(self) -> bool:
        return not any(self.broken.values())

    def table(self) -> str:
        lines = [f"seed {self.seed}: {'every promise was kept' if self.is_kept else 'PROMISES WERE BROKEN'}", ""]
        for name, value in self.numbers.items():
            if isinstance(value, dict):
                lines.append(f"  {name}")
                lines += [f"    {count:>7}  {what}" for what, count in value.items()]
            else:
                lines.append(f"  {value!s:>9}  {name}")
        lines += ["", "  broken promises"]
        lines += [f"  {len(cases):>9}  {promise}" for promise, cases in self.broken.items()]
        lines += [f"      {promise}: {case}" for promise, cases in self.broken.items() for case in cases[:20]]
        return "\n".join(lines) + "\n"

    def document(self) -> dict[str, Any]:
        """The verdict as JSON values."""
        return {"seed": self.seed, "kept": self.is_kept, "broken": self.broken, "numbers": self.numbers}


def judge(seed: int, volume: Volume, record: Record, twins: dict[int, Outcome]) -> Verdict:
    """Judge a run that has ended."""
    verdict = Verdict(seed)
    jobs = [job for job_id in volume.job_ids() if (job := volume.job(job_id)) is not None]
    lines = record.read()
    asked_to_cancel = {line["job"] for line in lines if line["what"] == "cancelled"}
    _judge_endings(verdict, jobs, lines, asked_to_cancel)
    _judge_twins(verdict, jobs, twins)
    _judge_trainers(verdict, lines)
    _judge_log(verdict, lines)
    verdict.broken["attempts that ended as no fault explains"] = [
        f"{job.id} attempt {attempt.number}: {end.error.code}: {end.error.message}"
        for job in jobs
        for attempt in job.attempts()
        if (end := attempt.end()) is not None and end.error is not None and end.error.code not in _EXPLAINED
    ]
    verdict.broken["attempts that counted as failures"] = [
        f"{job.id} attempt {attempt.number}: {end.outcome} {end.error}"
        for job in jobs
        for attempt in job.attempts()
        if (end := attempt.end()) is not None and end.is_failure
    ]
    _judge_budgets(verdict, jobs)
    _judge_uploads(verdict, volume, lines)
    half = [
        folder.name
        for folder in volume.open.iterdir()
        if volume.job(folder.name.partition("-")[2].partition(".")[0]) is None
    ]
    verdict.numbers["markers of jobs that never came to be"] = len(half)
    verdict.broken["torn files"] = [*_told(lines, "torn"), *torn_files(volume)]
    _count(verdict, jobs, lines)
    return verdict


def _judge_endings(
    verdict: Verdict, jobs: list[JobFolder], lines: list[dict[str, Any]], asked_to_cancel: set[str]
) -> None:
    results = {job.id: job.result() for job in jobs}
    acknowledged = {line["job"] for line in lines if line["what"] == "acknowledged"}
    lost = [job_id for job_id, result in results.items() if result is None]
    verdict.broken["jobs lost"] = lost + sorted(acknowledged - results.keys())
    ended = {job_id: result.ending for job_id, result in results.items() if result is not None}
    verdict.broken["jobs failed"] = [
        f"{job_id}: {ending.error}"
        for job_id, ending in ended.items()
        if ending.status == "failed" and not (ending.stop is not None and ending.stop.reason == "budget")
    ]
    verdict.broken["jobs cancelled that nobody cancelled"] = [
        job.id for job in jobs if job.id in ended and ended[job.id].status == "cancelled" and job.cancel() is None
    ]
    unheard = [job_id for job_id in asked_to_cancel if job_id in ended and ended[job_id].status == "failed"]
    verdict.broken["cancelled jobs neither cancelled nor finished before"] = unheard
    verdict.numbers["jobs"] = len(jobs)
    verdict.numbers["how they ended"] = dict(Counter(ending.status for ending in ended.values()))


def _judge_twins(verdict: Verdict, jobs: list[JobFolder], twins: dict[int, Outcome]) -> None:
    unequal, compared = [], 0
    for job in jobs:
        result, document = job.result(), job.record()
        if result is None or document is None or result.ending.status != "succeeded":
            continue
        if work.kind_of(document.spec.name or "") == work.BUDGET_KIND:
            continue
        compared += 1
        if result.attempt != job.attempts()[-1].number:
            unequal.append(f"{job.id}: attempt {result.attempt} brought the result, a reader looks at the newest one")
            continue
        try:
            different = differences(outcome_of(job), twins[work.kind_of(document.spec.name or "")])
        except (OSError, ValueError, IndexError) as error:
            different = [f"{type(error).__name__}: {error}"]
        if different:
            unequal.append(f"{job.id}: {', '.join(different)}")
    verdict.broken["results unequal to the untouched twin"] = unequal
    verdict.numbers["results compared with their twins"] = compared


def _judge_budgets(verdict: Verdict, jobs: list[JobFolder]) -> None:
    wrong, ended = [], 0
    for job in jobs:
        document, result = job.record(), job.result()
        limit = document.spec.budget.max_gpu_seconds if document and document.spec.budget else None
        stop = result.ending.stop if result else None
        if limit is None or stop is None or stop.reason == "cancelled":
            continue
        ended += 1
        held = sum(end.held_seconds or 0.0 for attempt in job.attempts() if (end := attempt.end()) is not None)
        if stop.reason != "budget" or held > limit + _BUDGET_SLACK_SECONDS:
            wrong.append(f"{job.id}: {stop.reason} after {held:.2f} of {limit:g} s")
    verdict.broken["budgets that did not end their job in time"] = wrong
    verdict.numbers["jobs that their budget ended"] = ended


def _judge_uploads(verdict: Verdict, volume: Volume, lines: list[dict[str, Any]]) -> None:
    uploaded = {line["dataset"]: line["sha256"] for line in lines if line["what"] == "uploaded"}
    wrong = []
    for name, sha256 in uploaded.items():
        found = volume.dataset(name)
        if found is None or found.sha256 != sha256 or not volume.data_file(name).exists():
            wrong.append(name)
    verdict.broken["acknowledged uploads that are not there"] = wrong
    verdict.numbers["acknowledged uploads"] = len(uploaded)


def _is_sick(line: dict[str, Any], lines: list[dict[str, Any]]) -> bool:
    """Whether a local fault explains why a worker ended."""
    return line["status"] in _SICK_STATUSES and any(
        other["what"] == "sabotaged"
        and other["service"] == line["service"]
        and 0 <= line["t"] - other["t"] <= _SICK_SECONDS
        for other in lines
    )


def _judge_trainers(verdict: Verdict, lines: list[dict[str, Any]]) -> None:
    until = lines[-1]["t"] if lines else 0.0
    found = overlaps(lives([line for line in lines if line["what"] == "trainer"], until))
    excused = [overlap for overlap in found if overlap.is_excused]
    verdict.broken["moments with two live trainers of one job"] = [
        str(overlap) for overlap in found if not overlap.is_excused
    ]
    verdict.numbers["thawed trainers that were superseded and stopped within a batch"] = len(excused)
    longest = max((overlap.seconds for overlap in excused), default=0.0)
    verdict.numbers["longest of them, in seconds"] = round(longest, 2)
    blind = [line["seconds"] for line in lines if line["what"] == "blind"]
    verdict.numbers["times that the watcher did not look for a quarter of a second or more"] = len(blind)


def _judge_log(verdict: Verdict, lines: list[dict[str, Any]]) -> None:
    verdict.broken["terminal states that changed"] = [*_told(lines, "changed"), *_told(lines, "reverted")]
    verdict.broken["attempts that went backwards"] = _told(lines, "backwards")
    verdict.broken["half answers of the API"] = _told(lines, "half_answer")
    verdict.broken["answers above 499 that no full disk explains"] = [
        str(line) for line in lines if line["what"] == "refused" and line["status"] > 499 and not line["excused"]
    ]
    verdict.broken["zombies and processes left behind"] = _told(lines, "left_behind")
    verdict.broken["processes that ended and nobody had ended them"] = [
        f"{line['service']} with status {line['status']} at {line['t']} s"
        for line in lines
        if line["what"] == "ended" and not line["asked"] and not _is_sick(line, lines)
    ]
    verdict.numbers["workers that ended since they could not heal themselves"] = sum(
        line["what"] == "ended" and not line["asked"] and _is_sick(line, lines) for line in lines
    )


def _count(verdict: Verdict, jobs: list[JobFolder], lines: list[dict[str, Any]]) -> None:
    attempts = [job.attempts() for job in jobs]
    faults = Counter(line["kind"] for line in lines if line["what"] == "fault")
    verdict.numbers["faults"] = sum(faults.values())
    verdict.numbers["faults of each kind"] = dict(faults.most_common())
    verdict.numbers["jobs with so many attempts"] = dict(
        sorted(Counter(f"{len(found):2d} attempts" for found in attempts).items())
    )
    ends = Counter(
        f"{end.outcome}{f' ({end.error.code})' if end.error else ''}"
        for found in attempts
        for attempt in found
        if (end := attempt.end()) is not None
    )
    verdict.numbers["how attempts ended"] = dict(ends.most_common())
    refused = Counter(str(line["status"]) for line in lines if line["what"] == "refused")
    refused.update("no answer" for line in lines if line["what"] == "unanswered")
    verdict.numbers["answers of the API that were none"] = dict(refused)
    for code, name in (("worker_lost", "from a worker's last beat to the next claim"), ("killed", "from a dead child")):
        _count_take_over(verdict, attempts, code, name)


def _count_take_over(verdict: Verdict, attempts: list[list[AttemptFolder]], code: str, name: str) -> None:
    """Measure the take-over by the times of files, which are the kernel's and not those of a worker's clock."""
    waits = []
    for found in attempts:
        for before, after in itertools.pairwise(found):
            end = before.end()
            if end is None or end.error is None or end.error.code != code:
                continue
            from_file = before.heartbeat_file if code == "worker_lost" else before.end_file
            if from_file.exists():
                waits.append(after.claim_file.stat().st_mtime - from_file.stat().st_mtime)
    if waits:
        summary = f"{statistics.median(waits):.1f} / {max(waits):.1f}"
        verdict.numbers[f"{name}, median / longest in seconds ({len(waits)} times)"] = summary


def _told(lines: list[dict[str, Any]], what: str) -> list[str]:
    return [str(line) for line in lines if line["what"] == what]
