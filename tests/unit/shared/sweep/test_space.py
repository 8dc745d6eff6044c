from typing import Any

import pytest

from shared.sweep.space import NoSuchPlace, count_trials, grid, in_order, put, trial_document
from shared.sweep.spec import SweepSpec
from shared.validation import validate


def spec(space: dict[str, Any], **parts: Any) -> SweepSpec:
    return validate(SweepSpec, {"job": {"model": {"layers": [8, 8]}}, "space": space, **parts})


def test_values_are_put_at_their_pointers() -> None:
    sweep = spec({"/a/b~1c": {"choice": [1]}, "/model/layers/1": {"int": [1, 9]}})
    document = trial_document(sweep, {"/a/b~1c": 1, "/model/layers/1": 4})
    assert document == {"model": {"layers": [8, 4]}, "a": {"b/c": 1}}
    assert sweep.job == {"model": {"layers": [8, 8]}}, "the sweep's own document does not change"


def test_a_place_inside_of_a_chosen_value_is_put_after_it() -> None:
    sweep = spec({"/model/dropout": {"uniform": [0, 1]}, "/model": {"choice": [{"layers": [4]}]}})
    assert trial_document(sweep, {"/model/dropout": 0.5, "/model": {"layers": [4]}}) == {
        "model": {"layers": [4], "dropout": 0.5}
    }


@pytest.mark.parametrize("pointer", ["/model/layers/2", "/model/layers/-1", "/model/layers/x", "/model/layers/0/a"])
def test_a_place_that_cannot_be_is_no_place(pointer: str) -> None:
    with pytest.raises(NoSuchPlace):
        put({"model": {"layers": [8, 8]}}, pointer, 1)


def test_the_grid_has_every_combination_once_and_heeds_conditions() -> None:
    space = {
        "/width": {
            "int": [
                2,
                7,
            ],
            "step": 2,
            "when": {"/kind": ["deep"]},
        },
        "/kind": {"choice": ["plain", "deep"]},
    }
    sweep = spec(space, sampler="grid", trials=50)
    assert in_order(sweep.space) == ["/kind", "/width"]
    assert list(grid(sweep.space)) == [{"/kind": "plain"}, *({"/kind": "deep", "/width": n} for n in (2, 4, 6))]
    assert count_trials(sweep) == 4
