"""The number of unfinished jobs of each key, counted for all API hosts together."""

import os

from api.state.shared_counts import Counts, SharedCounts
from shared.ids import age_seconds
from shared.volume import Volume

# A younger job without a marker may not be stored yet; an older one has finished.
_STORED_WITHIN_SECONDS = 30.0


class UnfinishedJobs:
    """Admits jobs by their markers in `open/`."""

    def __init__(self, shared: SharedCounts, volume: Volume) -> None:
        self._shared = shared
        self._volume = volume

    def admit(self, key_id: str, marker: str, most: int) -> bool:
        """Count a job that is about to be stored. False if its key has `most` other unfinished jobs."""
        return self._shared.ask(lambda counts: self._has_room(counts, f"jobs:{key_id}", marker, most))

    def _has_room(self, counts: Counts, name: str, marker: str, most: int) -> bool:
        """Whether the key has room for the job. Removes finished jobs from the set only when it is full."""
        if counts.insert(name, {marker}) <= most:
            return True
        existing = {entry.name for entry in os.scandir(self._volume.open)}
        known = counts.members(name) - {marker}
        counts.discard(name, {one for one in known - existing if age_seconds(_job_id(one)) > _STORED_WITHIN_SECONDS})
        has_room = len(known & existing) < most
        if not has_room:
            counts.discard(name, {marker})
        return has_room


def _job_id(marker: str) -> str:
    return marker.partition("-")[2].partition(".")[0]
