"""What is known of the datasets that were posted for last: a wide one takes milliseconds to read.

A dataset never changes, but another may be uploaded under the id of one that was deleted: what was read stands only for
the file that it was read from.
"""

import threading
from collections import OrderedDict

from shared.dataset import DatasetInfo
from shared.row_facts import DatasetRows
from shared.volume import Volume

_MOST_KEPT = 16

KnownDataset = tuple[DatasetInfo, DatasetRows]


class DatasetCache:
    """The last few datasets, each for as long as its file is the same one."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[tuple[int, int, int], KnownDataset]] = OrderedDict()

    def find(self, dataset_id: str) -> KnownDataset | None:
        """What is known of a dataset, and its rows; None where there is none, whatever the id holds."""
        stamp = self._volume.dataset_stamp(dataset_id)
        if stamp is None:
            return None
        with self._lock:
            known = self._kept.get(dataset_id)
        if known is not None and known[0] == stamp:
            return known[1]
        info = self._volume.dataset(dataset_id)
        if info is None:
            return None
        found = info, DatasetRows(self._volume.data_file(dataset_id), info)
        if self._volume.dataset_stamp(dataset_id) == stamp:
            self._keep(dataset_id, stamp, found)
        return found

    def _keep(self, dataset_id: str, stamp: tuple[int, int, int], found: KnownDataset) -> None:
        with self._lock:
            self._kept[dataset_id] = stamp, found
            self._kept.move_to_end(dataset_id)
            while len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
