"""A cache of the datasets of the last posts: one with many columns takes milliseconds to read.

A dataset never changes, but another may be uploaded under the id of one that was deleted. So an entry is valid only
while `dataset.json` is the same file.
"""

from cachetools import LRUCache

from api.state.locked_cache import LockedCache
from shared.dataset import DatasetInfo
from shared.resolve.row_facts import DatasetRows
from shared.stamps import Stamp
from shared.volume import Volume

# Maximum for the sizes of the `dataset.json` files; in memory they take about ten times as much.
_MOST_BYTES = 16 * 1024**2
_LEAST_BYTES = _MOST_BYTES // 16

KnownDataset = tuple[DatasetInfo, DatasetRows]


def _size(kept: tuple[Stamp, KnownDataset]) -> int:
    return min(max(kept[0][2], _LEAST_BYTES), _MOST_BYTES)


class DatasetCache:
    """The last few datasets. An entry is valid while its file is the same."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._kept: LockedCache[str, tuple[Stamp, KnownDataset]] = LockedCache(LRUCache(_MOST_BYTES, _size))

    def find(self, dataset_id: str) -> KnownDataset | None:
        """A dataset and its rows; None if it does not exist, or if the id is invalid. Raises UnusableDocument."""
        stamp = self._volume.dataset_stamp(dataset_id)
        if stamp is None:
            return None
        known = self._kept.find(dataset_id)
        if known is not None and known[0] == stamp:
            return known[1]
        info = self._volume.dataset(dataset_id)
        if info is None:
            return None
        found = info, DatasetRows(self._volume.data_file(dataset_id), info)
        if self._volume.dataset_stamp(dataset_id) == stamp:
            self._kept.keep(dataset_id, (stamp, found))
        return found
