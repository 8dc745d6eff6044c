"""Sweeps and their trials."""

from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from api.shapes.base import Count, JobId, Path, Shape, Time
from api.shapes.insight import Amount
from shared.sweep.folder import EndReason
from shared.sweep.spec import Objective, StoppingRule, SweepSpec
from shared.sweep.trial import TrialStatus

SWEEP_ID_PATTERN = r"^sweep_[0-9A-HJKMNP-TV-Z]{26}$"
SweepId = Annotated[str, Field(pattern=SWEEP_ID_PATTERN)]
SweepStatus = Literal["running", "succeeded", "failed", "cancelled"]
STATUS_OF_END: dict[EndReason, SweepStatus] = {
    "completed": "succeeded",
    "budget": "succeeded",
    "cancelled": "cancelled",
    "failed_trials": "failed",
    "data_changed": "failed",
}
TRIAL_STATUSES: tuple[TrialStatus, ...] = get_args(TrialStatus)
Parameters = Annotated[dict[str, Any], Field(description="Value of each parameter, by its JSON pointer into the spec")]


class TrialLink(Shape):
    """Sweep that a job is a trial of, and the trial's number."""

    id: SweepId
    trial: Annotated[int, Field(ge=1)]


class Trial(Shape):
    """One trial of a sweep. `value` is the best value of the objective until now, `best_epoch` its epoch.

    `status` is that of its job; a trial is `proposed` before its job exists, and `refused` if its spec is not valid.
    `reason` is the `reason` of the job's `stop`, or the code of its error; `message` is that of the error.
    """

    object: Literal["trial"]
    number: Annotated[int, Field(ge=1)]
    job: JobId
    status: TrialStatus
    parameters: Parameters
    value: float | None
    best_epoch: Annotated[int, Field(ge=1)] | None
    epoch: Annotated[int, Field(ge=0, description="Number of finished epochs")]
    reason: str | None
    message: str | None
    gpu_seconds: float
    costs: list[Amount]
    proposed_at: Time
    finished_at: Time | None


class TrialCounts(Shape):
    """Number of trials, by their status. `outclassed` of them were stopped by the sweep's rule."""

    max: Annotated[int, Field(ge=1, description="Maximum number of trials")]
    total: Count
    proposed: Count
    queued: Count
    running: Count
    succeeded: Count
    failed: Count
    cancelled: Count
    refused: Count
    deleted: Count
    outclassed: Count


class SweepSpent(Shape):
    """Compute time and cost of all trials until now."""

    gpu_seconds: float
    costs: list[Amount]
    saved_gpu_seconds: Annotated[
        float, Field(description="Estimate of the time that the rule saved: epochs that stopped trials did not run")
    ]


class SweepUrls(Shape):
    """Paths of the other parts of a sweep."""

    self: Path
    trials: Path
    explain: Path
    cancel: Path
    extend: Path
    replay: Path


class SweepSummary(Shape):
    """Sweep in a list. `reason` is why it ended, such as `completed` or `budget`; later versions may add others."""

    id: SweepId
    object: Literal["sweep"]
    project: str
    name: str
    status: SweepStatus
    reason: str | None
    message: str | None
    created_at: Time
    finished_at: Time | None
    cancel_requested_at: Time | None
    extensions: Annotated[Count, Field(description="Number of times that the sweep was extended")]
    objective: Objective
    sampler: str
    rule: str
    parallel: Count
    counts: TrialCounts
    waiting: Annotated[str | None, Field(description="Quota of the project for which the next trial waits")]
    best: Annotated[Trial | None, Field(description="Trial with the best value of the objective")]
    spent: SweepSpent
    urls: SweepUrls


class Sweep(SweepSummary):
    """One sweep. `spec` has the number of trials and the budget of its last extension."""

    spec: SweepSpec


class SweepDryRun(Shape):
    """Result of a dry run: the complete spec, and the parameters of a first trial."""

    object: Literal["sweep_dry_run"]
    warnings: list[str]
    first_parameters: Parameters
    spec: SweepSpec


class ParameterImportance(Shape):
    """Importance of a parameter: its share of the differences of the objective that the parameters explain."""

    parameter: Annotated[str, Field(description="JSON pointer into the job's spec")]
    importance: Annotated[float, Field(ge=0, le=1)]


class SweepExplanation(Shape):
    """Reason why a sweep runs or ended, and the importance of its parameters, largest first.

    `importance` is null while too few trials have a value, or if no parameter explains any difference.
    """

    object: Literal["sweep_explanation"]
    sweep: SweepId
    status: SweepStatus
    sentences: list[str]
    text: str
    importance: list[ParameterImportance] | None


class SweepReplay(Shape):
    """Effect of another rule on the recorded trials. `text` says it in a sentence.

    `stopped` lists the trials that the rule would have stopped. `unknown` counts those that were stopped when they were
    recorded: nothing is known of them after that. `lost` is how much worse the best value would be.
    """

    object: Literal["sweep_replay"]
    sweep: SweepId
    rule: StoppingRule
    trials: Count
    stopped: list[int]
    unknown: Count
    gpu_seconds: float
    gpu_seconds_saved: float
    winner: int | None
    winner_then: int | None
    is_winner_lost: bool
    lost: float
    text: str
