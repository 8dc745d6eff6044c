"""The importance of a sweep's parameters."""

import json

import numpy as np
import pytest

from shared.sweep.importance import importance, rank
from shared.sweep.spec import SweepSpec
from tests.support.sweeps import trial

LEADS, PICKS, IDLE = "/hyperparameters/learning_rate", "/hyperparameters/optimizer", "/model/dropout"
SPACE = {LEADS: {"log": [0.001, 0.1]}, PICKS: {"choice": ["adam", "sgd"]}, IDLE: {"uniform": [0, 0.5]}}
OBJECTIVE = {"monitor": "val_accuracy", "mode": "max"}
SPEC = SweepSpec.model_validate_json(json.dumps({"job": {}, "objective": OBJECTIVE, "space": SPACE}))


def trials(count, value, seed=1):
    """Yield trials whose value follows from their parameters."""
    drawn = np.random.default_rng(seed)
    for number in range(1, count + 1):
        picked = str(drawn.choice(["adam", "sgd"]))
        chosen = {LEADS: 10 ** drawn.uniform(-3, -1), PICKS: picked, IDLE: drawn.uniform(0, 0.5)}
        if picked == "sgd":
            chosen.pop(IDLE)
        yield trial(number, value(chosen), parameters=chosen)


def test_the_parameter_that_decides_comes_first_and_the_shares_add_up():
    found = importance(SPEC, list(trials(60, lambda one: one[LEADS] + 0.005 * (one[PICKS] == "adam"))))
    assert next(iter(found)) == LEADS
    assert sum(found.values()) == pytest.approx(1)
    assert found[LEADS] > 0.5
    assert found[IDLE] < 0.1


def test_one_huge_value_changes_nothing():
    calm = list(trials(60, lambda one: one[LEADS]))
    best = max(calm, key=lambda one: one.curve[0])
    wild = [trial(one.number, 1e30 if one is best else one.curve[0], parameters=one.parameters) for one in calm]
    assert importance(SPEC, wild) == importance(SPEC, calm)


def test_of_few_trials_and_of_equal_ones_nothing_is_said():
    assert importance(SPEC, list(trials(9, lambda one: one[LEADS]))) is None
    assert importance(SPEC, list(trials(60, lambda _: 0.5))) is None
    assert importance(SPEC, list(trials(60, lambda _: None))) is None


def test_equal_values_share_a_rank():
    assert rank([3.0, 1.0, 3.0, 2.0]) == [2.5, 0.0, 2.5, 1.0]
