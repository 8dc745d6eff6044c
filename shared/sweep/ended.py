"""Which sweeps have ended, so that they are not read again: there may be many, and few of them are extended."""

from collections.abc import Collection, Iterable

from shared.sweep.folder import sweep_folder
from shared.volume import Volume

# Maximum number of ended sweeps that a look checks for an extension.
_MOST_LOOKS = 200


class EndedSweeps:
    """The sweeps that have ended, each with its number of extensions at its last end. For one thread at a time.

    An extended sweep runs again: it is not `in` here until it is added with its new end. `ended`: the initial ones.
    """

    def __init__(self, volume: Volume, ended: Iterable[tuple[str, int]] = ()) -> None:
        self._volume = volume
        self._ends = dict(ended)
        self._extended: set[str] = set()
        self._turn = 0

    def __contains__(self, sweep_id: str) -> bool:
        return sweep_id in self._ends and sweep_id not in self._extended

    def add(self, sweep_id: str, extensions: int) -> None:
        """Note that a sweep has ended after this number of extensions."""
        self._ends[sweep_id] = extensions
        self._extended.discard(sweep_id)

    def last_end(self, sweep_id: str) -> int | None:
        """The number of extensions at a sweep's last end, even if it runs again; None if it has not ended yet."""
        return self._ends.get(sweep_id)

    def look(self, there: Collection[str]) -> None:
        """Forget sweeps that are not `there`, and check some of the others, in turn, for an extension."""
        self._ends = {sweep_id: number for sweep_id, number in self._ends.items() if sweep_id in there}
        self._extended &= self._ends.keys()
        for sweep_id in self._next(sorted(self._ends.keys() - self._extended)):
            if sweep_folder(self._volume, sweep_id).is_extended(self._ends[sweep_id] + 1):
                self._extended.add(sweep_id)

    def _next(self, ids: list[str]) -> list[str]:
        turn = [ids[(self._turn + step) % len(ids)] for step in range(min(_MOST_LOOKS, len(ids)))]
        self._turn += _MOST_LOOKS
        return turn
