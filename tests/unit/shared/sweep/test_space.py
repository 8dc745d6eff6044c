from typing import Any

import pytest

from shared.sweep.space import NoSuchPlace, count_trials, grid, grid_values, in_order, is_active, put, trial_document
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


@pytest.mark.parametrize(
    "pointer",
    [
        "/model/layers/2",
        "/model/layers/-1",
        "/model/layers/x",
        "/model/layers/00",
        "/model/layers/\u0660",
        "/model/layers/0/a",
    ],
)
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


def test_a_script_gets_a_number_as_text() -> None:
    document = {"program": {"id": "mine", "arguments": ["--rate", "0.1"]}}
    space = {"/program/arguments/1": {"log": [1e-6, 1]}, "/program/environment/UNITS": {"int": [1, 9]}}
    sweep = validate(SweepSpec, {"job": document, "space": space})
    assert trial_document(sweep, {"/program/arguments/1": 1.5e-05, "/program/environment/UNITS": 4})["program"] == {
        "id": "mine",
        "arguments": ["--rate", "1.5e-05"],
        "environment": {"UNITS": "4"},
    }


def test_a_grid_over_a_huge_range_takes_no_memory() -> None:
    sweep = spec({"/hyperparameters/seed": {"int": [0, 2**32 - 1]}}, sampler="grid", trials=3)
    assert count_trials(sweep) == 3
    assert grid_values(sweep.space["/hyperparameters/seed"]) == range(2**32)


def test_a_condition_on_a_truth_does_not_hold_for_a_number() -> None:
    space = spec({"/a": {"choice": [1, True, [8]]}, "/b": {"choice": [2], "when": {"/a": True}}}).space
    assert is_active(space["/b"], {"/a": True})
    assert not is_active(space["/b"], {"/a": 1})
