"""Finds the sweeps that were extended after their end: those that ended may be many, and few of them ever are."""

from collections.abc import Iterable, Mapping

from shared.sweep.folder import sweep_folder
from shared.volume import Volume

# Of the sweeps that have ended, each look takes in this number.
_MOST_LOOKS = 200


class ExtendedSweeps:
    """Looks at a part of the sweeps that have ended, in turn. For one thread at a time."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._turn = 0

    def look(self, ended: Mapping[str, int]) -> set[str]:
        """Those of this look that run again. `ended`: the number of extensions after which each ended."""
        return {
            sweep_id
            for sweep_id in self._next(sorted(ended))
            if sweep_folder(self._volume, sweep_id).is_extended(ended[sweep_id] + 1)
        }

    def _next(self, ids: list[str]) -> Iterable[str]:
        turn = [ids[(self._turn + step) % len(ids)] for step in range(min(_MOST_LOOKS, len(ids)))]
        self._turn += _MOST_LOOKS
        return turn
