"""Makes the job of a trial, in any process, from the files on the volume."""

from functools import lru_cache
from pathlib import Path
from typing import Any

from shared import job_share
from shared.dataset import DatasetInfo
from shared.durable import make_folder
from shared.earlier_model import CannotStart, EarlierModel, find_best, keep
from shared.findings import NO_FAULTS, Findings
from shared.ids import is_job_id
from shared.job import JobRecord, SweepShare, TrialOf, pin_program
from shared.job_folder import JobFolder
from shared.problems import FitstopError, Problem, Refused, pointer
from shared.resolve import resolve
from shared.resolve.kinds import fill_in_kinds
from shared.resolve.memory import MemoryLimits
from shared.resolve.program import resolve_program
from shared.resolve.row_facts import DatasetRows
from shared.spec import Budget, EarlierJobSpec, JobSpec, ProgramJobSpec
from shared.stamps import Stamp
from shared.sweep.folder import Shares, SweepRecord, TrialRecord
from shared.sweep.space import NoSuchPlace, trial_document
from shared.times import utc_now
from shared.validation import validate
from shared.volume import Volume
from shared.weights import weights_of

_LIMITS = ("max_gpu_seconds", "max_cost", "deadline")


class DataChanged(FitstopError):
    """The data that a sweep was posted with has changed or is gone: its trials could not be compared."""

    code = "data_changed"


def store_trial(
    volume: Volume, sweep: SweepRecord, trial: TrialRecord, limits: MemoryLimits, shares: Shares | None = None
) -> JobFolder:
    """Make the job of a trial, under the id that the trial names, with its share. An existing job stays.

    Raises Refused if its spec is refused, DataChanged, and OSError if the volume cannot store it.
    """
    document = _document(sweep, trial)
    if "program" in document:
        record, earlier = _program_record(volume, document, sweep, trial), None
    else:
        record, earlier = _record(volume, document, sweep, trial, limits)
    if record.data_sha256 not in sweep.data_sha256:
        raise DataChanged("the dataset or the program has changed since the sweep was posted")

    def prepare(into: JobFolder) -> None:
        if earlier is not None:
            _keep(volume, earlier, into)
        if shares is not None and trial.number in shares.trials:
            make_folder(into.path)
            give_share(into, sweep.id, trial.number, shares)

    return volume.store_job(record, prepare, is_shared=True)


def give_share(job: JobFolder, sweep_id: str, trial: int, shares: Shares) -> None:
    """Give a trial's job its share of the budget. Raises FileNotFoundError if its folder is gone."""
    share = shares.trials[trial]
    job_share.give_share(job, share.number, SweepShare(sweep=sweep_id, budget=share.budget))


def _document(sweep: SweepRecord, trial: TrialRecord) -> dict[str, Any]:
    try:
        return trial_document(sweep.spec, trial.parameters)
    except NoSuchPlace as error:
        problem = Problem("#" + error.pointer, f"the job's spec has no such field: {error}", "unknown_place")
        raise Refused([problem]) from error


def _record(
    volume: Volume, document: dict[str, Any], sweep: SweepRecord, trial: TrialRecord, limits: MemoryLimits
) -> tuple[JobRecord, EarlierModel | None]:
    known = _find_dataset(volume, document)
    asked = validate(JobSpec, fill_in_kinds(document, known[0] if known else None))
    if known is None:
        raise DataChanged(f'the dataset "{asked.dataset.id}" was deleted')
    weights_id = weights_of(asked)
    weights = volume.weights.find(weights_id) if weights_id else None
    if weights_id and weights is None:
        raise DataChanged(f'the weights "{weights_id}" were deleted')
    earlier = _find_earlier(volume, asked)
    resolved = resolve(asked, *known, NO_FAULTS, limits, earlier=earlier)
    record = JobRecord(
        spec=resolved.spec.model_copy(update=_changes(sweep, trial, resolved.spec.budget)),
        task=resolved.task,
        data_sha256=known[0].data_sha256,
        warnings=resolved.warnings,
        weights_sha256=weights.data_sha256 if weights else None,
        lineage=earlier.lineage if earlier else (),
        **_of_sweep(sweep, trial),
    )
    return record, earlier


def _program_record(volume: Volume, document: dict[str, Any], sweep: SweepRecord, trial: TrialRecord) -> JobRecord:
    asked = validate(ProgramJobSpec, document)
    program = volume.program(asked.program.id, asked.program.version)
    if program is None:
        raise DataChanged(f'the program "{asked.program.id}" was deleted')
    found = Findings(NO_FAULTS)
    datasets = {dataset_id: volume.dataset(dataset_id) for dataset_id in asked.program.datasets}
    # Whether the key may run programs was checked when the sweep was posted.
    spec = resolve_program(asked, program, datasets, found, may_run_code=True)
    sums = {dataset_id: info.data_sha256 for dataset_id, info in datasets.items() if info is not None}
    return JobRecord(
        spec=spec.model_copy(update=_changes(sweep, trial, spec.budget)),
        task=None,
        data_sha256=pin_program(program.version, sums),
        program_version=program.version,
        datasets_sha256=sums,
        warnings=tuple(found.warnings),
        **_of_sweep(sweep, trial),
    )


def _of_sweep(sweep: SweepRecord, trial: TrialRecord) -> dict[str, Any]:
    return {
        "id": trial.job,
        "created_at": utc_now(),
        "key_id": sweep.key_id,
        "project": sweep.project,
        "sweep": TrialOf(id=sweep.id, trial=trial.number),
    }


def _changes(sweep: SweepRecord, trial: TrialRecord, own: Budget | None) -> dict[str, Any]:
    """What the job gets from its sweep: a name with its number, and the limits that older versions gave to a trial."""
    return {"name": f"{sweep.spec.name} {trial.number}", "budget": nearer_limits(own, trial.budget)}


def nearer_limits(one: Budget | None, other: Budget | None) -> Budget | None:
    """The limits of two budgets that are reached first; None if there is no budget."""
    if one is None or other is None:
        return one or other
    pairs = (
        (name, [value for budget in (one, other) if (value := getattr(budget, name)) is not None]) for name in _LIMITS
    )
    return Budget(**{name: min(values) for name, values in pairs if values})


def _find_dataset(volume: Volume, document: dict[str, Any]) -> tuple[DatasetInfo, DatasetRows] | None:
    asked = document.get("dataset")
    dataset_id = asked.get("id") if isinstance(asked, dict) else None
    stamp = volume.dataset_stamp(dataset_id) if isinstance(dataset_id, str) else None
    if stamp is None or not isinstance(dataset_id, str):
        return None
    return _read_dataset(volume.root, dataset_id, stamp)


@lru_cache(maxsize=4)
def _read_dataset(root: Path, dataset_id: str, stamp: Stamp) -> tuple[DatasetInfo, DatasetRows] | None:
    """A dataset and its rows. `stamp` distinguishes it from a later one with the same id."""
    del stamp
    volume = Volume(root)
    info = volume.dataset(dataset_id)
    return None if info is None else (info, DatasetRows(volume.data_file(dataset_id), info))


def _find_earlier(volume: Volume, asked: JobSpec) -> EarlierModel | None:
    wanted = asked.model
    if not isinstance(wanted, EarlierJobSpec):
        return None
    folder = volume.job(wanted.job) if is_job_id(wanted.job) else None
    try:
        if folder is None:
            raise CannotStart("there is no job with this id any more")
        return find_best(folder)
    except CannotStart as error:
        raise Refused([Problem(pointer("model", "job"), str(error), error.code)]) from error


def _keep(volume: Volume, earlier: EarlierModel, into: JobFolder) -> None:
    job = volume.job_folder(earlier.ancestor.job)
    try:
        keep(earlier, into, is_final=job.result_file.exists())
    except (CannotStart, FileNotFoundError) as error:
        raise Refused(
            [Problem(pointer("model", "job"), f"its best model is gone: {error}", "cannot_start_from")]
        ) from error
