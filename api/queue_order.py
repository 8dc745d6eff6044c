"""Where a queued job stands: the order of the markers in `open/`, counting only jobs that wait."""

from collections.abc import Iterator

from shared.job_folder import JobFolder
from shared.volume import Volume


def queued_jobs(volume: Volume) -> Iterator[str]:
    """The ids of the jobs that wait, in the order in which they are served."""
    for marker in volume.open_jobs():
        if _waits(volume.job_folder(marker.job_id)):
            yield marker.job_id


def queue_position(volume: Volume, job_id: str) -> int | None:
    """1 for the job that is served next; None for one that does not wait."""
    return next((place for place, waiting in enumerate(queued_jobs(volume), 1) if waiting == job_id), None)


def _waits(folder: JobFolder) -> bool:
    """JobState's "queued", by the names of the files alone: nothing is parsed, so that a long queue costs little."""
    if folder.result_file.exists() or not folder.spec_file.exists():
        return False
    attempts = folder.attempts()
    return not attempts or attempts[-1].end_file.exists()
