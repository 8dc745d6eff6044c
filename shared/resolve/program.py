"""Checks of a job that runs a program: whether the program, its entry and its datasets exist."""

from collections.abc import Mapping

from shared.dataset import DatasetInfo
from shared.findings import Findings
from shared.problems import list_names, nearest
from shared.program import ProgramInfo
from shared.resolve.job import judge_budget
from shared.spec import ProgramJobSpec, ProgramSpec


def resolve_program(
    asked: ProgramJobSpec,
    program: ProgramInfo | None,
    datasets: Mapping[str, DatasetInfo | None],
    found: Findings,
    *,
    may_run_code: bool,
) -> ProgramJobSpec:
    """Fill in and check `asked` against its program and datasets, None if missing. Raises Refused with every problem.

    The monitor of early stopping is checked when the script calls `fit`: its metrics are not known before.
    """
    if not may_run_code:
        detail = "this key may not run programs; use a key with the scope code"
        found.problem(("program",), detail, "scope")
    is_named = found.is_sure("program/id") and found.is_sure("program/version")
    entry = _judge_entry(asked, program, found) if is_named else None
    for index, dataset_id in enumerate(asked.program.datasets):
        if datasets[dataset_id] is None:
            detail = f'there is no dataset "{dataset_id}"; upload it first (PUT /datasets/{dataset_id})'
            found.problem(("program", "datasets", index), detail, "unknown_dataset")
    budget = judge_budget(asked.budget, found)
    if asked.budget is None and asked.callbacks.early_stopping is None:
        found.warn("this job has no budget, and early stopping only if its script has an EarlyStopping callback")
    found.stop_at_problems()
    return asked.model_copy(
        update={
            "name": asked.name or asked.program.id,
            "program": asked.program.model_copy(update={"entry": entry, "version": program and program.version}),
            "budget": budget,
        }
    )


def _judge_entry(asked: ProgramJobSpec, program: ProgramInfo | None, found: Findings) -> str | None:
    """Report problems of the entry, and return the script that runs, if it is known."""
    wanted = asked.program
    if program is None:
        _refuse_missing(wanted, found)
        return None
    if not found.is_sure("program/entry"):
        return None
    scripts = [path for path in program.paths if path.endswith(".py")]
    if wanted.entry is None:
        if program.default_entry is None:
            detail = f'missing: the program "{program.id}" holds several scripts; choose one of {list_names(scripts)}'
            found.problem(("program", "entry"), detail, "missing")
        return program.default_entry
    if wanted.entry not in scripts:
        near = nearest(wanted.entry, scripts)
        detail = f'received "{wanted.entry}", which the program "{program.id}" does not hold.{near}'
        found.problem(("program", "entry"), f"{detail} It holds {list_names(scripts)}", "unknown_entry")
    elif wanted.entry in program.broken:
        found.problem(("program", "entry"), f"does not compile: {program.broken[wanted.entry]}", "does_not_compile")
    return wanted.entry


def _refuse_missing(wanted: ProgramSpec, found: Findings) -> None:
    if wanted.version is None:
        detail = f'there is no program "{wanted.id}"; upload it first (PUT /programs/{wanted.id})'
        found.problem(("program", "id"), detail, "unknown_program")
    else:
        detail = f'the program "{wanted.id}" has no such version; upload it first (PUT /programs/{wanted.id})'
        found.problem(("program", "version"), detail, "unknown_version")
