"""Sweeps beside the jobs: one runs to its end, one is extended, one is cancelled, and one is cancelled and deleted."""

import secrets
import threading
from typing import Any

from proofs.bucket_volume.stand import Stand
from proofs.sweep import jobs_of, known_before
from shared.sweep.proposal import propose
from shared.sweep.state import SweepState, read_state
from shared.volume import Volume

FATES = ("left alone", "extended", "cancelled", "deleted")
TRIALS, MORE_TRIALS = 4, 7
_SPACE = {
    "/hyperparameters/learning_rate": {"log": [1e-4, 0.1]},
    "/model/layers": {"choice": [[4], [16], [32, 32]]},
}


class Sweeps:
    """`fates`: what is done with each sweep, by its id."""

    def __init__(self, stand: Stand) -> None:
        self._stand = stand
        self.fates: dict[str, str] = {}
        # The sweeps whose fate is complete.
        self._done: set[str] = set()

    def post(self, job: dict[str, Any]) -> None:
        """Post one sweep over a job of few epochs for each fate."""
        job = {**job, "hyperparameters": {**job["hyperparameters"], "epochs": 3, "batch_size": 64}}
        for fate in FATES:
            # A sweep to cancel must not have ended by then.
            trials = TRIALS if fate in {"left alone", "extended"} else 1000
            spec = {"job": job, "space": _SPACE, "trials": trials, "parallel": 2, "seed": 5, "rule": {"name": "none"}}
            posted = self._stand.ask("POST", "/sweeps", spec, **{"Idempotency-Key": secrets.token_hex(8)})
            self.fates[posted["id"]] = fate

    def act(self, over: threading.Event) -> None:
        """Carry out the fate of each sweep, whatever fails meanwhile."""
        while not over.wait(0.5) and not self.are_done():
            self.act_once()

    def act_once(self) -> None:
        """Check each sweep once, and do the next step of its fate."""
        for sweep, fate in self.fates.items():
            if sweep in self._done:
                continue
            told = self._stand.ask("GET", f"/sweeps/{sweep}")
            has_ended = told["status"] != "running"
            if fate == "extended" and has_ended and told["counts"]["total"] < MORE_TRIALS:
                self._stand.ask("POST", f"/sweeps/{sweep}/extend", {"trials": MORE_TRIALS})
            elif fate in {"cancelled", "deleted"} and not has_ended:
                if told["counts"]["total"] >= TRIALS:
                    self._stand.ask("POST", f"/sweeps/{sweep}/cancel")
            elif has_ended:
                if fate == "deleted":
                    # It does not exist if the first answer was lost.
                    self._stand.ask("DELETE", f"/sweeps/{sweep}", also=(404,))
                self._done.add(sweep)

    def are_done(self) -> bool:
        """Whether each sweep has ended and its fate is complete."""
        return self._done == self.fates.keys()

    def judge(self, volume: Volume) -> list[str]:
        """Find what was lost, doubled, ended differently, or does not follow from the results before it."""
        return [f"{sweep}: {fault}" for sweep, fate in self.fates.items() for fault in _judge_one(volume, sweep, fate)]

    def jobs(self, volume: Volume) -> list[str]:
        """The jobs of all trials."""
        return [job for sweep in self.fates for job in jobs_of(volume, sweep)]

    def delete(self) -> None:
        """Delete the sweeps that are left."""
        for sweep in self.fates:
            self._stand.ask("DELETE", f"/sweeps/{sweep}", also=(404,))


def _judge_one(volume: Volume, sweep: str, fate: str) -> list[str]:
    state, jobs = read_state(volume, sweep), jobs_of(volume, sweep)
    broken = [f"the trial {job} has not ended" for job in jobs if volume.job_folder(job).result() is None]
    if fate == "deleted":
        return [*broken, "deleted, and there"] if state is not None else broken
    if state is None:
        return ["lost"]
    return broken + _judge_state(state, jobs, fate)


def _judge_state(state: SweepState, jobs: list[str], fate: str) -> list[str]:
    broken = []
    if state.status != ("cancelled" if fate == "cancelled" else "completed"):
        broken.append(f"ended as {state.status}")
    wanted = {"left alone": TRIALS, "extended": MORE_TRIALS, "cancelled": len(state.trials)}[fate]
    if [trial.number for trial in state.trials] != list(range(1, wanted + 1)):
        broken.append(f"has the trials {[trial.number for trial in state.trials]}")
    if sorted(trial.job for trial in state.trials) != sorted(jobs):
        broken.append("the jobs on the volume are not those of its trials")
    for trial in state.trials:
        if fate != "cancelled" and trial.status != "succeeded":
            broken.append(f"trial {trial.number} is {trial.status}")
        if propose(state.record.spec, known_before(state, trial), trial.number) != trial.parameters:
            broken.append(f"trial {trial.number} does not follow from the results before it")
    return broken
