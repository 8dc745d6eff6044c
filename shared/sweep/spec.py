"""The spec of a sweep: a job's spec, the space that is searched in it, and the rules by which it ends."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from shared.spec import Budget, Mode, Monitor, Strict, Text

MOST_TRIALS = 10_000
MOST_PARALLEL = 100
MOST_PARAMETERS = 64
MOST_CHOICES = 100

Sampler = Literal["tpe", "random", "grid", "cmaes"]
RuleName = Literal["forecast", "asha", "median", "none"]
Pointer = Annotated[str, Field(min_length=2, max_length=512, pattern=r"^/")]

_int = int


class _Conditional(Strict):
    when: dict[Pointer, Any] | None = Field(default=None, min_length=1, max_length=8)
    """Condition: parameters that must have the given value, or one of a list of values. Default: none."""


class ChoiceSpec(_Conditional):
    """One of several values."""

    choice: tuple[Any, ...] = Field(min_length=1, max_length=MOST_CHOICES)
    """Values of any type that the job's spec accepts there."""


class UniformSpec(_Conditional):
    """A number between two ends."""

    uniform: tuple[float, float]
    """Lowest and highest value."""


class LogSpec(_Conditional):
    """A number between two ends, uniform in its logarithm."""

    log: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]
    """Lowest and highest value."""


class IntSpec(_Conditional):
    """A whole number between two ends."""

    int: tuple[_int, _int]
    """Lowest and highest value."""
    log: bool = False
    """Whether to sample uniformly on a logarithmic scale."""
    step: _int = Field(default=1, ge=1)
    """Distance between two values."""


_KINDS = {"int": IntSpec, "choice": ChoiceSpec, "uniform": UniformSpec, "log": LogSpec}


def _kind(value: Any) -> str | None:
    """The kind of a parameter by the one field that names it. `log` is also a field of `int`."""
    if not isinstance(value, dict):
        return type(value).__name__
    named = [kind for kind in _KINDS if kind in value and not (kind == "log" and "int" in value)]
    return _KINDS[named[0]].__name__ if len(named) == 1 else None


Parameter = Annotated[
    Annotated[ChoiceSpec, Tag("ChoiceSpec")]
    | Annotated[UniformSpec, Tag("UniformSpec")]
    | Annotated[LogSpec, Tag("LogSpec")]
    | Annotated[IntSpec, Tag("IntSpec")],
    # The tags are not names of fields, so that they are left out of a problem's pointer.
    Discriminator(
        _kind,
        custom_error_type="value_error",
        custom_error_context={"error": "expected an object with exactly one of choice, uniform, log and int"},
    ),
]


class Objective(Strict):
    """Metric that decides which trial is best: the best value that it has in any epoch."""

    monitor: Monitor = "auto"
    """Name of the metric. Default: the one that the job's early stopping monitors."""
    mode: Mode = "auto"
    """Direction of improvement: "min", "max", or "auto" by the name of the metric."""


class StoppingRule(Strict):
    """Rule that stops a trial which cannot become the best."""

    name: RuleName = "forecast"
    """"forecast" by the chance to beat the best trial, "asha" by successive halving, "median" by the median, "none"."""
    min_epochs: int = Field(default=5, ge=1, le=100_000)
    """Minimum number of epochs before the rule can stop a trial. For "asha": the first rung."""
    min_trials: int = Field(default=4, ge=1, le=MOST_TRIALS)
    """Minimum number of finished trials before the rule can stop one."""
    min_chance: float = Field(default=0.1, gt=0, lt=1)
    """For "forecast": chance to beat the best trial below which a trial is stopped; 7 times that below the median."""
    reduction_factor: int = Field(default=3, ge=2, le=100)
    """For "asha": one of this number of trials continues at each rung, and the next rung is this number times later."""


class SweepSpec(Strict):
    """Specification of a sweep."""

    name: Annotated[Text, Field(min_length=1, max_length=100)] | None = None
    """Display name. Default: the job's."""
    job: dict[str, Any]
    """Spec of the job into which the parameters of the space are inserted."""
    space: dict[Pointer, Parameter] = Field(min_length=1, max_length=MOST_PARAMETERS)
    """Parameters by JSON pointer into the job's spec, such as /hyperparameters/learning_rate."""
    sampler: Sampler = "tpe"
    """Sampler that proposes trials: Optuna's "tpe", or "random", "grid", "cmaes"."""
    trials: int = Field(default=20, ge=1, le=MOST_TRIALS)
    """Maximum number of trials."""
    parallel: int = Field(default=1, ge=1, le=MOST_PARALLEL)
    """Maximum number of unfinished trials."""
    objective: Objective = Objective()
    """Metric to optimize."""
    rule: StoppingRule = StoppingRule()
    """Rule that stops trials."""
    budget: Budget | None = None
    """Limits for all trials together; null: no limit."""
    max_failed_trials: int = Field(default=10, ge=1, le=MOST_TRIALS)
    """Number of failed trials after which no new ones are proposed."""
    seed: int = Field(default=0, ge=0, le=2**32 - 1)
    """Seed of all random choices."""
