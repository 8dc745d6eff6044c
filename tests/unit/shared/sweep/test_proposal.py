from statistics import median
from typing import Any

import pytest

from shared.sweep.proposal import propose
from shared.sweep.spec import Objective, SweepSpec
from shared.sweep.trial import Trial
from shared.validation import validate
from tests.support.calls import count_calls
from tests.support.sweeps import trial

RATE, DROPOUT, KIND, UNITS = "/rate", "/dropout", "/kind", "/units"
SPACE = {
    RATE: {"log": [0.0001, 1.0]},
    DROPOUT: {"uniform": [0.0, 0.5]},
    KIND: {"choice": ["plain", "wide"]},
    UNITS: {"int": [8, 64], "step": 8, "when": {KIND: "wide"}},
}


def sweep(sampler: str, seed: int = 3) -> SweepSpec:
    spec = validate(SweepSpec, {"job": {}, "space": SPACE, "sampler": sampler, "seed": seed, "trials": 200})
    return spec.model_copy(update={"objective": Objective(monitor="val_loss", mode="min")})


def loss(parameters: dict[str, Any]) -> float:
    """Return a loss with its minimum at a rate of 0.01 and a dropout of 0.25."""
    return abs(parameters[RATE] - 0.01) ** 0.5 + (parameters[DROPOUT] - 0.25) ** 2


def run(spec: SweepSpec, count: int) -> list[Trial]:
    history: list[Trial] = []
    for number in range(1, count + 1):
        parameters = propose(spec, history, number)
        history.append(trial(number, loss(parameters), parameters=parameters))
    return history


@pytest.mark.parametrize("sampler", ["tpe", "random", "cmaes"])
def test_a_proposal_follows_from_seed_number_and_results_alone(sampler: str) -> None:
    spec, history = sweep(sampler), run(sweep(sampler), 25)
    again = propose(spec, list(reversed(history)), 26)
    assert again == propose(spec, history, 26)
    assert propose(sweep(sampler, seed=4), history, 26) != again
    assert propose(spec, history, 27) != again
    for one in history:
        chosen = one.parameters
        assert 0.0001 <= chosen[RATE] <= 1
        assert 0 <= chosen[DROPOUT] <= 0.5
        assert (UNITS in chosen) == (chosen[KIND] == "wide")
        assert chosen.get(UNITS, 8) % 8 == 0


@pytest.mark.parametrize("sampler", ["tpe", "cmaes"])
def test_a_sampler_learns_from_the_results(sampler: str) -> None:
    tried = [loss(one.parameters) for one in run(sweep(sampler), 40)]
    by_chance = [loss(propose(sweep("random"), [], number)) for number in range(1, 41)]
    assert median(tried[20:]) < 0.7 * median(by_chance)


def test_unfinished_trials_change_what_is_proposed_beside_them() -> None:
    spec, history = sweep("tpe"), run(sweep("tpe"), 20)
    alone = propose(spec, history, 29)
    beside = [trial(number, parameters=alone, status="running") for number in range(21, 29)]
    assert propose(spec, [*history, *beside], 29) != alone


def test_failed_and_stopped_trials_are_heeded() -> None:
    spec, history = sweep("tpe"), run(sweep("tpe"), 20)
    failed = [trial(21, status="failed", parameters=history[0].parameters)]
    assert propose(spec, [*history, *failed], 22) == propose(spec, history, 22)
    bad = {**history[0].parameters, RATE: 0.5}
    stopped = [trial(21, 9.0, reason="outclassed", parameters=bad)]
    propose(spec, [*history, *stopped], 22)


def test_what_a_proposal_does_grows_with_the_trials_and_not_faster() -> None:
    spec = sweep("tpe")
    tried = [propose(sweep("random"), [], number) for number in range(1, 51)]
    history = [trial(number, 1 / number, parameters=tried[number % 50]) for number in range(1, 2001)]
    propose(spec, history[:20], 101)
    few, many = (count_calls(lambda taken=taken: propose(spec, history[:taken], 2001)) for taken in (200, 2000))
    assert many < 12 * few
