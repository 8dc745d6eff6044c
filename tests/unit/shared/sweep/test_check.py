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
