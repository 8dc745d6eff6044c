"""The quotas of a project, from `FITSTOP_PROJECT_QUOTAS`: bytes, unfinished jobs, GPU seconds and cost in a month.

Above a quota of a month or of bytes the answer is 403, since a retry after seconds does not help. Above that of
unfinished jobs it is 429.
"""

from api.auth.access import caller
from api.http.problems import HttpProblem
from api.state.reached_quotas import describe_bytes, find_reached_quotas
from api.state.service import service
from shared.job import JobRecord
from shared.job_quota import find_full_quota
from shared.project import ProjectQuota, quota_of

_JOBS_RETRY_SECONDS = 30


def project_quota(project: str) -> ProjectQuota:
    """The quota of a project."""
    return quota_of(service().settings.project_quotas, project)


def check_bytes(coming: int) -> None:
    """Raise HttpProblem 403 if an upload of this size exceeds the quota of the caller's project."""
    project = caller().project
    limit = project_quota(project).bytes
    if limit is not None and service().usage.bytes(project) + coming > limit:
        raise _quota_problem(project, [describe_bytes(service().usage.bytes(project), limit, coming)])


def check_job(record: JobRecord) -> None:
    """Raise HttpProblem if a job's project has reached one of its quotas: 403, or 429 for its unfinished jobs.

    A few concurrent posts may exceed it.
    """
    project = record.project
    quota = project_quota(project)
    problems = find_reached_quotas(service().usage, quota, project, service().settings.currency)
    if problems:
        raise _quota_problem(project, problems)
    full = find_full_quota(service().volume, service().settings.project_quotas, project)
    if full is not None:
        detail = f"{full}; wait for some to finish, or cancel them"
        raise HttpProblem(429, "project_jobs", detail, retry_after=_JOBS_RETRY_SECONDS)


def _quota_problem(project: str, problems: list[str]) -> HttpProblem:
    detail = f'the project "{project}" has reached its quota: {"; ".join(problems)}, or ask an admin for a larger quota'
    return HttpProblem(403, "project_quota", detail)
