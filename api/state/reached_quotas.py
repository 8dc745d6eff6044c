"""Descriptions of the quotas of bytes and of a month that a project has reached."""

from api.state.project_usage import ProjectUsage
from shared.project import ProjectQuota
from shared.times import utc_now


def find_reached_quotas(usage: ProjectUsage, quota: ProjectQuota, project: str, currency: str) -> list[str]:
    """A sentence with the fix for each quota that is reached. A use that is not summed yet counts as zero."""
    problems = []
    if quota.bytes is not None and (used := usage.bytes(project)) >= quota.bytes:
        problems.append(describe_bytes(used, quota.bytes))
    if quota.gpu_seconds_per_month is None and quota.cost_per_month is None:
        return problems
    spent, month = usage.spent(project), utc_now()[:7]
    if quota.gpu_seconds_per_month is not None and spent.gpu_seconds >= quota.gpu_seconds_per_month:
        problems.append(
            f"{spent.gpu_seconds:.0f} of {quota.gpu_seconds_per_month:.0f} GPU seconds of {month} are used; "
            "wait until next month (UTC)"
        )
    if quota.cost_per_month is not None and spent.cost >= quota.cost_per_month:
        problems.append(
            f"{spent.cost:.2f} of {quota.cost_per_month:.2f} {currency} of {month} are used; "
            "wait until next month (UTC)"
        )
    return problems


def describe_bytes(used: int, limit: int, coming: int = 0) -> str:
    """The use of a quota of bytes as text, with the fix. `coming` is the size of an upload in bytes."""
    more = f", and this upload has {coming}" if coming else ""
    return f"{used} of {limit} bytes are used{more}; delete datasets or finished jobs"
