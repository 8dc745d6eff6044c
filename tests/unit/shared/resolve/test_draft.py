"""One answer names shape, data and monitors, but no problem that only follows from another wrong field."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.problems import MOST_PROBLEMS, Refused, at_most_shown
from shared.resolve import problems_without_data, resolve
from shared.resolve.draft import make_draft
from shared.spec import JobSpec
from tests.unit.shared.records import GRADES, dataset, listed, places, replaced, resolved, spec

STAND_IN = {"dataset": {"id": "unknown", "target": "unknown"}}
DATA = dataset(GRADES)
WHOLE = {**resolved().spec.model_dump(mode="json"), "metadata": {"team": "cellar"}}


def pointers(document, data=DATA):
    """Return every problem of a document by its pointer."""
    draft = make_draft(JobSpec, document, STAND_IN)
    if draft.value is None:
        return {problem.pointer: problem for problem in at_most_shown(draft.faults.problems)}
    try:
        resolve(draft.value, data, None, draft.faults)
    except Refused as refused:
        found = refused.problems
    else:
        return {}
    assert len({problem.pointer for problem in found}) == len(found), "one problem for each place"
    return {problem.pointer: problem for problem in found}


def test_one_answer_names_shape_data_and_monitors():
    document = {
        "lr": 0.01,
        "dataset": {"id": "wine", "target": "grade", "drop_columns": ["a", 5, "colou"], "stratify": "yes"},
        "hyperparameters": {"metrics": ["acc", "mae"], "epochs": 0},
        "callbacks": {"early_stopping": {"monitor": "val_acuracy", "restore_best_weights": True}},
        "budget": {"deadline": "2020-01-01T00:00:00Z"},
    }
    found = pointers(document)
    assert {pointer: problem.code for pointer, problem in found.items()} == {
        "#/lr": "unknown_field",
        "#/dataset/drop_columns/1": "string_type",
        "#/dataset/drop_columns/2": "unknown_column",
        "#/dataset/stratify": "bool_type",
        "#/hyperparameters/metrics/0": "literal_error",
        "#/hyperparameters/metrics/1": "metric_does_not_fit",
        "#/hyperparameters/epochs": "greater_than_equal",
        "#/callbacks/early_stopping/monitor": "unknown_monitor",
        "#/callbacks/early_stopping/restore_best_weights": "unknown_field",
        "#/budget/deadline": "passed",
    }
    assert 'Did you mean "val_accuracy"?' in found["#/callbacks/early_stopping/monitor"].detail


def with_values(*changes):
    document = spec()
    for path, value in changes:
        *above, last = path.split("/")
        here = document
        for part in above:
            here = here.setdefault(part, {})
        here[last] = value
    return document


@pytest.mark.parametrize(
    "changes",
    [
        # A monitor may be valid once the metrics, the target or the loss are corrected.
        [("hyperparameters/metrics", ["acc"]), ("callbacks/early_stopping/monitor", "val_accuracy")],
        [("hyperparameters/metric", ["auc"]), ("callbacks/early_stopping/monitor", "val_auc")],
        [("dataset/target", "grde"), ("dataset/positive", None), ("callbacks/early_stopping/monitor", "val_mae")],
        [("dataset/positive", {}), ("hyperparameters/metrics", ["mae"])],
        [("dataset/positive", None), ("hyperparameters/loss", "bce"), ("hyperparameters/metrics", ["precision"])],
        [("hyperparameters/metrics", ["mae"]), ("callbacks/early_stopping/monitor", "val_accuracy")],
        [("hyperparameters/loss", "huber"), ("hyperparameters/metrics", ["mae"])],
        [("callbacks/early_stopping/monitor", 5), ("callbacks/early_stopping/mode", "min")],
        [("callbacks/early_stopping/monitor", "val_acuracy"), ("callbacks/early_stopping/mode", "min")],
        # The column `key` may be dropped once the name is corrected.
        [("dataset/drop_columns", ["ky"])],
        [("dataset/dropp", ["key"])],
        [("dataset/drop_columns", [5])],
        [("dataset/target", "ky")],
        [("dataset/positive", {"at_leest": 99})],
        [("dataset/missing", "mean"), ("dataset/validation_fraction", 0.99)],
        [("model/layers", [65_536, "65_536", 65_536])],
    ],
)  # fmt: skip
def test_what_rests_on_a_wrong_field_is_not_named(changes):
    key = listed("key", {f"k{one}": 1 for one in range(1001)}, kind="text")
    wrong = {"#/" + path for path, _ in changes}
    found = pointers(
        with_values(*changes),
        dataset(GRADES, key, rows=2000) if "key" in str(changes) or "ky" in str(changes) else DATA,
    )
    assert found
    first = next(iter(found))
    assert all(any(one.startswith(path) for path in wrong) for one in found), found
    assert len(found) == 1, (first, found)


def test_what_does_not_rest_on_a_wrong_field_is_named():
    key = listed("key", {f"k{one}": 1 for one in range(1001)}, kind="text")
    found = pointers(with_values(("dataset/drop_columns", ["colou"])), dataset(GRADES, key, rows=2000))
    assert {one: problem.code for one, problem in found.items()} == {
        "#/dataset/drop_columns/0": "unknown_column",
        "#/dataset/drop_columns": "too_many_categories",
    }


@pytest.mark.parametrize("missing", ["id", "target"])
def test_a_required_field_that_is_missing_does_not_hide_the_rest(missing):
    document = spec("hyperparameters/epochs", 0)
    del document["dataset"][missing]
    assert set(pointers(document)) == {f"#/dataset/{missing}", "#/hyperparameters/epochs"}


def test_without_data_the_rest_is_judged():
    document = spec("callbacks/early_stopping", {"monitor": "val_acuracy"})
    draft = make_draft(JobSpec, document, STAND_IN)
    (problem,) = problems_without_data(draft.value, draft.faults)
    assert problem.pointer == "#/callbacks/early_stopping/monitor"


def test_a_good_document_has_no_faults():
    draft = make_draft(JobSpec, WHOLE, STAND_IN)
    assert (draft.value.model_dump(mode="json"), draft.faults.problems) == (WHOLE, ())


@pytest.mark.parametrize("document", [None, [], "x", 5])
def test_what_is_no_object_has_no_value(document):
    draft = make_draft(JobSpec, document, STAND_IN)
    assert (draft.value, [problem.pointer for problem in draft.faults.problems]) == (None, ["#"])


ODD = st.sampled_from([None, True, 0, -1, 1.5, "", "5", "x", [], [True], ["a", 5], {}, {"a": 1}, {"at_least": 6}])


@given(st.lists(st.tuples(st.sampled_from(list(places(WHOLE))[1:]), ODD), min_size=1, max_size=4))
@settings(max_examples=200, deadline=None)
def test_every_fault_of_the_shape_is_in_the_answer_of_the_whole(changes):
    document = WHOLE
    for place, value in changes:
        if place in set(places(document)):
            document = replaced(document, place, value)
    # As a parser returns it: no part of it appears at two places.
    document = json.loads(json.dumps(document))
    faults = make_draft(JobSpec, document, STAND_IN).faults.problems
    assert {problem.pointer for problem in faults} <= set(pointers(document))


def test_an_answer_to_very_many_problems_is_short():
    document = {**spec(), **{f"learning_rat{one}": one for one in range(15_000)}}
    document["dataset"]["drop_columns"] = [f"colum{one}" for one in range(4000)]
    assert len(json.dumps(document)) < 500_000
    found = pointers(document)
    assert len(found) == MOST_PROBLEMS + 1
    assert found["#"].code == "more_problems"
