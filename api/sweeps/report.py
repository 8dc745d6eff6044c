"""The reports of a sweep and its trials, from the sweep's state."""

from collections import Counter
from typing import Any

from api.shapes import sweeps as shapes
from api.shapes.insight import Amount
from api.state.service import service
from shared.sweep.check import Checked
from shared.sweep.quota import find_reason_to_wait
from shared.sweep.space import choose_first
from shared.sweep.state import SweepSummary
from shared.sweep.steps import may_have_next
from shared.sweep.trial import TrialSummary


def status_of(state: SweepSummary) -> shapes.SweepStatus:
    """`running` until the sweep has ended, then the status of its end."""
    return "running" if state.end is None else shapes.STATUS_OF_END[state.end.reason]


def explain_waiting(state: SweepSummary) -> str | None:
    """The reason why the next trial of a sweep waits; None if it does not wait, or if there is no next trial."""
    if not may_have_next(state):
        return None
    return find_reason_to_wait(service().volume, service().settings.project_quotas, state.record)


def sweep_report(state: SweepSummary) -> shapes.Sweep:
    """The answer to GET /sweeps/{id}."""
    return shapes.Sweep(**_facts(state), spec=state.record.spec)


def summary_report(state: SweepSummary) -> shapes.SweepSummary:
    """One sweep of GET /sweeps."""
    return shapes.SweepSummary(**_facts(state))


def dry_run_report(checked: Checked) -> shapes.SweepDryRun:
    """The answer to POST /sweeps?dry_run=true."""
    return shapes.SweepDryRun(
        object="sweep_dry_run",
        warnings=list(checked.record.warnings),
        first_parameters=choose_first(checked.spec.space, {}),
        spec=checked.spec,
    )


def trial_report(trial: TrialSummary, mode: str) -> shapes.Trial:
    """One trial of GET /sweeps/{id}/trials."""
    return shapes.Trial(
        object="trial",
        number=trial.number,
        job=trial.job,
        status=trial.status,
        parameters=trial.parameters,
        value=trial.best(mode),
        best_epoch=trial.best_epoch(mode),
        epoch=trial.count_epochs(),
        reason=trial.reason,
        message=trial.message,
        gpu_seconds=round(trial.held, 6),
        costs=_amounts(trial.cost),
        proposed_at=trial.proposed_at,
        finished_at=trial.finished_at,
    )


def _facts(state: SweepSummary) -> dict[str, Any]:
    """The fields of `shapes.SweepSummary`."""
    record, end, best = state.record, state.end, state.best
    spec = record.spec
    return {
        "id": record.id,
        "object": "sweep",
        "project": record.project,
        "name": spec.name or "sweep",
        "status": status_of(state),
        "reason": end.reason if end else None,
        "message": end.message if end else None,
        "created_at": record.created_at,
        "finished_at": end.ended_at if end else None,
        "waiting": explain_waiting(state),
        "cancel_requested_at": state.cancel.requested_at if state.cancel else None,
        "extensions": state.extensions,
        "objective": spec.objective,
        "sampler": spec.sampler,
        "rule": spec.rule.name,
        "parallel": spec.parallel,
        "counts": _counts(state),
        "best": trial_report(best, state.mode) if best else None,
        "spent": shapes.SweepSpent(
            gpu_seconds=round(state.gpu_seconds, 6),
            costs=_amounts(state.costs()),
            saved_gpu_seconds=round(state.saved_seconds(), 6),
        ),
        "urls": _urls(record.id),
    }


def _counts(state: SweepSummary) -> shapes.TrialCounts:
    counts = Counter(trial.status for trial in state.trials)
    by_status = {name: counts[name] for name in shapes.TRIAL_STATUSES}
    outclassed = sum(trial.is_outclassed for trial in state.trials)
    return shapes.TrialCounts(max=state.most_trials, total=len(state.trials), outclassed=outclassed, **by_status)


def _amounts(costs: dict[str, float]) -> list[Amount]:
    return [Amount(currency=currency, amount=round(amount, 6)) for currency, amount in sorted(costs.items())]


def _urls(sweep_id: str) -> shapes.SweepUrls:
    own = f"/sweeps/{sweep_id}"
    parts = {name: f"{own}/{name}" for name in ("trials", "explain", "cancel", "extend", "replay")}
    return shapes.SweepUrls(self=own, **parts)
