"""The state of a job that a request names."""

from shared.job_folder import JobFolder, JobState
from shared.problems import NotFound


def state_of(folder: JobFolder) -> JobState:
    """The state of a job. Raises NotFound if it was deleted in the meantime."""
    state = folder.state()
    if state is None:
        raise NotFound("there is no job with this id")  # deleted since it was found
    return state
