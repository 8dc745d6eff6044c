"""The client's requests about sweeps."""

from collections.abc import Iterator, Sequence
from typing import Any

from fitstop.transport import Json, Transport, path_of, read_all

# The largest page of GET /sweeps/{id}/trials.
_TRIALS = 1000


class SweepRequests(Transport):
    """One method for each request of a sweep."""

    def submit_sweep(self, spec: Json) -> Json:
        """Post a sweep. Raises Refused with every problem of the spec. Repeats as `submit` does."""
        return self._post_once("/sweeps", spec)

    def dry_run_sweep(self, spec: Json) -> Json:
        """The spec of a sweep with every default, and its first trial. Stores nothing; refuses as `submit_sweep`."""
        return self._json("POST", "/sweeps", params={"dry_run": "true"}, json=spec)

    def sweeps(self, *, limit: int = 100, after: str | None = None, **filters: Any) -> Json:
        """One page of the sweeps, newest first; `after` is the last id of the page before it."""
        return self._get("sweeps", limit=limit, after=after, **filters)

    def all_sweeps(self) -> Iterator[Json]:
        """Every sweep, newest first, page by page."""
        return read_all(lambda after: self.sweeps(after=after), None)

    def sweep(self, sweep_id: str) -> Json:
        """A sweep: its spec, number of trials, best trial, and what it has spent."""
        return self._get("sweeps", sweep_id)

    def trials(self, sweep_id: str, *, limit: int = _TRIALS, after: int = 0, numbers: Sequence[int] = ()) -> Json:
        """One page of a sweep's trials by their numbers; `after` is the last number of the page before it.

        With `numbers` only those trials.
        """
        return self._get("sweeps", sweep_id, "trials", limit=limit, after=after, number=list(numbers) or None)

    def all_trials(self, sweep_id: str, after: int = 0) -> Iterator[Json]:
        """Every trial of a sweep with a number above `after`, page by page."""
        return read_all(lambda number: self.trials(sweep_id, after=number), after, cursor="number")

    def explain_sweep(self, sweep_id: str) -> Json:
        """Why a sweep runs or ended (`sentences`), and the `importance` of each parameter."""
        return self._get("sweeps", sweep_id, "explain")

    def replay_sweep(self, sweep_id: str, rule: Json) -> Json:
        """The effect of another rule on the trials of a past sweep. Raises Refused for a rule that is not valid."""
        return self._json("POST", path_of("sweeps", sweep_id, "replay"), json={"rule": rule})

    def cancel_sweep(self, sweep_id: str) -> Json:
        """Cancel a sweep and its unfinished trials; their checkpoints are kept."""
        return self._json("POST", path_of("sweeps", sweep_id, "cancel"))

    def extend_sweep(self, sweep_id: str, changes: Json) -> Json:
        """Raise the `trials` or the `budget` of a sweep; one that had ended runs again. Values are totals.

        Raises Refused with everything that is wrong, also for a sweep that was cancelled or has failed.
        """
        return self._json("POST", path_of("sweeps", sweep_id, "extend"), json=changes)

    def delete_sweep(self, sweep_id: str) -> None:
        """Delete a finished sweep. The jobs of its trials stay."""
        self._delete(path_of("sweeps", sweep_id))
