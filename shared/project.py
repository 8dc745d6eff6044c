"""Projects, which own jobs and datasets. Every API key names one, and several keys may share it.

A record without a project is from a version without projects, and belongs to `default`.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_core import from_json

DEFAULT_PROJECT = "default"
# Part of a marker's name, after a dot.
PROJECT_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"
# In the weights and the quotas: every project that they do not name.
OTHER_PROJECTS = "*"
MOST_WEIGHT = 100

_NAME = re.compile(PROJECT_PATTERN.removesuffix("$"))

_Value = TypeVar("_Value")

ProjectName = Annotated[str, StringConstraints(pattern=PROJECT_PATTERN)]


class ProjectQuota(BaseModel):
    """Limits of one project; None: no limit. A month is in UTC, the cost is in `FITSTOP_CURRENCY`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    bytes: int | None = Field(default=None, ge=0)
    unfinished_jobs: int | None = Field(default=None, ge=0)
    gpu_seconds_per_month: float | None = Field(default=None, ge=0)
    cost_per_month: float | None = Field(default=None, ge=0)


def _parse(value: Any) -> Any:
    """Parse the text of an environment variable. An empty one, which compose files pass on, counts as unset."""
    return from_json(value or "{}") if isinstance(value, str) else value


def _check_names(projects: dict[str, _Value]) -> dict[str, _Value]:
    for name in projects:
        if name != OTHER_PROJECTS and not is_project_name(name):
            raise ValueError(f'"{name}" is not a project: expected a name that matches {PROJECT_PATTERN}, or "*"')
    return projects


def is_project_name(text: str) -> bool:
    """Whether `text` may name a project."""
    return _NAME.fullmatch(text) is not None


_Weight = Annotated[int, Field(ge=1, le=MOST_WEIGHT)]

ProjectWeights = Annotated[dict[str, _Weight], BeforeValidator(_parse), AfterValidator(_check_names)]
ProjectQuotas = Annotated[dict[str, ProjectQuota], BeforeValidator(_parse), AfterValidator(_check_names)]


def weight_of(weights: Mapping[str, int], project: str) -> int:
    """The weight of a project: its own, else that of all other projects, else 1."""
    return weights.get(project) or weights.get(OTHER_PROJECTS) or 1


def quota_of(quotas: Mapping[str, ProjectQuota], project: str) -> ProjectQuota:
    """The quota of a project: its own, else that of all other projects, else one without limits."""
    return quotas.get(project) or quotas.get(OTHER_PROJECTS) or ProjectQuota()
