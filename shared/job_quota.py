"""The quota of unfinished jobs of a project, which applies to a posted job and to the next trial of a sweep."""

from shared.project import ProjectQuotas, quota_of
from shared.volume import Volume


def count_open_jobs(volume: Volume, project: str) -> int:
    """The number of a project's jobs without a result, by the names of their markers."""
    return sum(marker.project == project for marker in volume.open_jobs())


def find_full_quota(volume: Volume, quotas: ProjectQuotas, project: str) -> str | None:
    """A sentence that a project has as many unfinished jobs as its quota allows; None if one more is allowed."""
    limit = quota_of(quotas, project).unfinished_jobs
    count = 0 if limit is None else count_open_jobs(volume, project)
    if limit is None or count < limit:
        return None
    jobs = "1 unfinished job" if count == 1 else f"{count} unfinished jobs"
    return f'the project "{project}" has {jobs}, and its quota is {limit}'
