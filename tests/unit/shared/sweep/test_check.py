from pathlib import Path
from typing import Any

import pytest

from shared.problems import Refused
from shared.sweep.check import check
from shared.volume import Volume
from tests.support.jobs import learnable_frame, put_dataset, small_spec
from tests.support.sweeps import judge_of, put_sweep, sweep_document

RATE = "/hyperparameters/learning_rate"


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    volume = Volume(tmp_path)
    put_dataset(volume, learnable_frame())
    return volume


def refused(volume: Volume, **parts: Any) -> dict[str, str]:
    with pytest.raises(Refused) as error:
        check(sweep_document(**parts), judge_of(volume))
    return {problem.pointer.replace("~1", "/"): problem.code for problem in error.value.problems}


def test_a_good_sweep_is_stored_with_nothing_left_open(volume: Volume) -> None:
    folder = put_sweep(volume, seed=7)
    record = folder.record()
    assert record is not None
    assert (record.spec.objective.monitor, record.spec.objective.mode) == ("val_accuracy", "max")
    assert (record.spec.name, record.spec.seed) == ("grades", 7)
    assert record.data_sha256 == (volume.dataset("grades").data_sha256,)  # type: ignore[union-attr]
    assert record.spec.space == check(sweep_document(), judge_of(volume)).spec.space


def test_one_refusal_names_every_problem(volume: Volume) -> None:
    space = {
        RATE: {"log": [0.001, 50_000.0]},
        "/model/dropuot": {"uniform": [0, 0.5]},
        "/model/layers/3": {"int": [1, 9]},
        "/hyperparameters/batch_size": {"int": [64, 32]},
        "/model/dropout": {"uniform": [0.0, 1.5], "when": {"/model/nothing": 1}},
        "/hyperparameters/seed": {"choice": [1, "two"], "when": {RATE: -1}},
    }
    found = refused(volume, space=space, trials=0, objective={"monitor": "val_auc_of_moon"}, rule={"min_chance": 2})
    assert found == {
        "#/trials": "greater_than_equal",
        "#/rule/min_chance": "less_than",
        "#/space//hyperparameters/learning_rate": "less_than_equal",
        "#/space//model/dropuot": "unknown_field",
        "#/space//model/layers/3": "unknown_place",
        "#/space//hyperparameters/batch_size": "bad_range",
        "#/space//model/dropout": "less_than",
        "#/space//model/dropout/when//model/nothing": "unknown_parameter",
        "#/space//hyperparameters/seed/when//hyperparameters/learning_rate": "impossible_value",
        "#/space//hyperparameters/seed": "int_type",
        "#/objective/monitor": "unknown_monitor",
    }


def test_a_space_that_names_nothing_is_refused(volume: Volume) -> None:
    assert refused(volume, space={}) == {"#/space": "too_short"}


def test_conditions_that_contradict_or_lead_back_are_refused(volume: Volume) -> None:
    kind, a, b = "/model/layers", "/model/dropout", "/hyperparameters/batch_size"
    first = {kind: {"choice": [[4], [8]]}, a: {"choice": [0.1, 0.2], "when": {kind: [[4]]}}}
    contradiction = {**first, b: {"int": [8, 16], "when": {a: 0.1, kind: [[8]]}}}
    assert refused(volume, space=contradiction) == {f"#/space/{b}/when": "contradiction"}
    circle = {a: {"choice": [0.1], "when": {b: 8}}, b: {"int": [8, 16], "when": {a: 0.1}}}
    assert set(refused(volume, space=circle).values()) == {"circular_conditions"}


def test_contradictions_and_circles_are_named_beside_all_other_problems(volume: Volume) -> None:
    kind, a, b = "/model/layers", "/model/dropout", "/hyperparameters/batch_size"
    space = {
        kind: {"choice": [[4], [8]]},
        a: {"choice": [0.1, 0.2], "when": {kind: [[4]]}},
        b: {"int": [8, 16], "when": {a: 0.1, kind: [[8]]}},
        RATE: {"log": [0.001, 0.1], "when": {"/hyperparameters/seed": 1}},
        "/hyperparameters/seed": {"choice": [1], "when": {RATE: 0.01}},
        "/hyperparameters/epochs": {"int": [9, 2], "when": {"/nothing": 1}},
    }
    found = refused(volume, space=space)
    assert found[f"#/space/{b}/when"] == "contradiction"
    assert found[f"#/space/{RATE}/when"] == found["#/space//hyperparameters/seed/when"] == "circular_conditions"
    assert found["#/space//hyperparameters/epochs"] == "bad_range"
    assert found["#/space//hyperparameters/epochs/when//nothing"] == "unknown_parameter"


def test_a_place_inside_the_value_of_another_parameter_must_be_there_in_each_trial(volume: Volume) -> None:
    optimizer, momentum, second = "/hyperparameters/optimizer", "/hyperparameters/optimizer/momentum", "/model/layers/1"
    kinds = {"choice": ["adam", {"name": "sgd"}]}
    space = {optimizer: kinds, momentum: {"uniform": [0.0, 0.9]}}
    assert refused(volume, space=space) == {f"#/space/{momentum}": "unknown_place"}
    space[momentum] = {"uniform": [0.0, 0.9], "when": {optimizer: [{"name": "sgd"}]}}
    space |= {"/model/layers": {"choice": [[8, 8], [4]]}, second: {"int": [2, 9], "when": {"/model/layers": [[8, 8]]}}}
    assert len(check(sweep_document(space=space), judge_of(volume)).spec.space) == 4


def test_a_parameter_names_one_kind_of_values_and_the_fields_of_it(volume: Volume) -> None:
    space = {
        "/hyperparameters/seed": {"int": [1, 5], "choice": [3]},
        "/model/dropout": {},
        "/model/layers": 5,
        RATE: {"log": [0.001, 0.1], "steps": 3},
        "name": {"choice": ["a"]},
    }
    with pytest.raises(Refused) as error:
        check(sweep_document(space=space), judge_of(volume))
    found = {problem.pointer.replace("~1", "/"): problem.detail for problem in error.value.problems}
    one_kind = "expected an object with exactly one of choice, uniform, log and int"
    assert all(
        found[f"#/space/{name}"].endswith(one_kind)
        for name in ("/hyperparameters/seed", "/model/dropout", "/model/layers")
    )
    assert found[f"#/space/{RATE}/steps"] == "unknown field. Known here: when, log"
    assert found["#/space/name"].endswith("that matches ^/")


def test_a_pointer_that_begins_outside_the_job_is_told_at_its_parameter(volume: Volume) -> None:
    assert refused(volume, space={"/job/model/dropout": {"uniform": [0, 0.5]}}) == {
        "#/space//job/model/dropout": "unknown_field"
    }


def test_a_grid_of_a_range_and_cmaes_without_two_ranges_are_refused(volume: Volume) -> None:
    assert refused(volume, sampler="grid") == {f"#/space/{RATE}": "no_grid"}
    assert refused(volume, sampler="cmaes") == {"#/sampler": "too_few_ranges"}


def test_a_fault_of_the_job_itself_is_told_once(volume: Volume) -> None:
    assert refused(volume, job=small_spec(callbacks={"early_stopping": {"patience": 0}})) == {
        "#/job/callbacks/early_stopping/patience": "greater_than_equal"
    }


def test_a_value_that_makes_another_part_wrong_is_told_at_its_parameter(volume: Volume) -> None:
    schedule = "/callbacks/learning_rate_schedule"
    space = {schedule: {"choice": [{"kind": "cosine"}, {"kind": "cosine", "min_lr": 0.05}]}, RATE: {"log": [0.01, 0.1]}}
    with pytest.raises(Refused) as error:
        check(sweep_document(space=space), judge_of(volume))
    (problem,) = error.value.problems
    assert "above learning_rate" in problem.detail


def test_settings_of_another_rule_are_refused(volume: Volume) -> None:
    assert refused(volume, rule={"name": "median", "min_chance": 0.1}) == {"#/rule/min_chance": "not_of_this_rule"}


def test_what_no_sampler_can_draw_from_is_refused(volume: Volume) -> None:
    space = {
        RATE: {"log": [5e-324, 1.0]},
        "/metadata/wide": {"uniform": [-1e308, 1e308]},
        "/metadata/large": {"int": [0, 10**400]},
        "/metadata/exact": {"int": [0, 2**53]},
        "/metadata/same": {"choice": ["a", "b", "a"]},
        "/metadata/truths": {"choice": [1, True]},
    }
    with pytest.raises(Refused) as error:
        check(sweep_document(space=space), judge_of(volume))
    found = {problem.pointer.replace("~1", "/") for problem in error.value.problems if problem.code == "bad_range"}
    assert found == {
        "#/space//hyperparameters/learning_rate",
        "#/space//metadata/wide",
        "#/space//metadata/large",
    }
    same = [problem.pointer.replace("~1", "/") for problem in error.value.problems if problem.code == "same_value"]
    assert same == ["#/space//metadata/same/choice/2"]
