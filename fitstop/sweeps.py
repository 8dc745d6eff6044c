"""A sweep in Python: `fitstop.sweep(job, space, trials=40)` or `fitstop.attach_sweep(sweep_id)`."""

from collections.abc import Mapping
from typing import Any, Self

from fitstop.client import TERMINAL, Client, Json
from fitstop.errors import ClientError
from fitstop.run import Run, open_client
from fitstop.terminal.output import hint
from fitstop.terminal.sweep_watch import follow_sweep, watch_sweep


class Sweep:
    """One sweep. Every property asks the service until the sweep has ended. The sweep runs without this object."""

    def __init__(self, client: Client, sweep_id: str) -> None:
        self.id = sweep_id
        self.client = client
        self._ended: Json | None = None

    def __repr__(self) -> str:
        return f"fitstop.attach_sweep({self.id!r})"

    @property
    def document(self) -> Json:
        """The sweep's document, as in `GET /sweeps/{id}`."""
        if self._ended is not None:
            return self._ended
        document = self.client.sweep(self.id)
        if document["status"] in TERMINAL:
            self._ended = document
        return document

    @property
    def url(self) -> str:
        """The URL of the sweep's page."""
        return f"{self.client.connection.url}/page/sweeps/{self.id}"

    @property
    def status(self) -> str:
        """running, succeeded, failed or cancelled."""
        return str(self.document["status"])

    @property
    def best_trial(self) -> Json | None:
        """The trial with the best value of the objective; None before one has a value."""
        best: Json | None = self.document["best"]
        return best

    @property
    def best(self) -> Run:
        """The job of the best trial. Raises ClientError before a trial has a value."""
        trial = self.best_trial
        if trial is None:
            raise ClientError(f"no trial of the sweep {self.id} has a value of {self.document['objective']['monitor']}")
        return Run(self.client, trial["job"])

    @property
    def trials(self) -> list[Json]:
        """Every trial by its number: `parameters`, `value`, `status`, `epoch`, `gpu_seconds`, and its `job`."""
        return list(self.client.all_trials(self.id))

    @property
    def importance(self) -> dict[str, float] | None:
        """The importance of each parameter, largest first, with a sum of 1; None while too few trials have a value."""
        found = self.client.explain_sweep(self.id)["importance"]
        return None if found is None else {one["parameter"]: one["importance"] for one in found}

    def wait(self, timeout: float | None = None, *, verbose: bool = True) -> Self:
        """Wait until the sweep has ended, and meanwhile show it in the terminal.

        Ctrl-C ends only the waiting: the sweep continues. Raises TimeoutError if it has not ended after `timeout`
        seconds. `verbose=False` shows nothing.
        """
        try:
            if verbose:
                watch_sweep(self.client, self.id, timeout)
            else:
                for _ in follow_sweep(self.client, self.id, timeout=timeout):
                    pass
        except KeyboardInterrupt:
            hint(f'The sweep continues. To wait for it again: sweep = fitstop.attach_sweep("{self.id}"); sweep.wait()')
            raise
        return self

    def replay(self, rule: str, **parameters: Any) -> Json:
        """The effect of another rule on the trials of this sweep: the time that it saves, and the best trial."""
        return self.client.replay_sweep(self.id, {"name": rule, **parameters})

    def cancel(self) -> Self:
        """Cancel the sweep and its unfinished trials; their checkpoints are kept."""
        self.client.cancel_sweep(self.id)
        return self

    def extend(self, trials: int | None = None, budget: Json | None = None) -> Self:
        """Raise the number of trials or limits of the budget, each as its new total; an ended sweep runs again."""
        given = {"trials": trials, "budget": budget}
        self.client.extend_sweep(self.id, {name: value for name, value in given.items() if value is not None})
        return self

    def delete(self) -> None:
        """Delete the ended sweep. The jobs of its trials stay."""
        self.client.delete_sweep(self.id)


def sweep(
    job: Json, space: Mapping[str, Any], *, client: Client | None = None, url: str | None = None, **settings: Any
) -> Sweep:
    """Submit a sweep over the spec of a job, and do not wait.

    `space` maps JSON pointers into `job` to the values to try, such as
    `{"/hyperparameters/learning_rate": {"log": [1e-4, 1e-1]}}`. `settings` are the other fields of a sweep: `trials`,
    `parallel`, `sampler`, `rule`, `objective`, `budget`, `seed`, `name`; a rule without parameters may be its name.
    Raises Refused with every problem.
    """
    rule = settings.get("rule")
    if isinstance(rule, str):
        settings["rule"] = {"name": rule}
    opened = open_client(client, url)
    return Sweep(opened, opened.submit_sweep({"job": job, "space": dict(space), **settings})["id"])


def attach_sweep(sweep_id: str, *, client: Client | None = None, url: str | None = None) -> Sweep:
    """A sweep that was submitted before, here or elsewhere. Raises NotFound for an unknown id."""
    attached = Sweep(open_client(client, url), sweep_id)
    _ = attached.document
    return attached
