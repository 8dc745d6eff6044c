"""POST /jobs checks the rows that will be trained on: those left after dropping, in both parts of the split."""

import io
import random

import pandas as pd
import pytest

from shared.ids import new_job_id
from tests.support.jobs import put_dataset


def csv(header, rows):
    return "\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n"


@pytest.fixture
def dry_run(client, volume):
    """Send a job on a table as a dry run."""

    def ask(content, dates=(), **spec):
        dataset_id = new_job_id().lower().replace("_", "-")
        put_dataset(volume, pd.read_csv(io.StringIO(content), parse_dates=list(dates)), dataset_id)
        dataset = {"id": dataset_id, **spec.pop("dataset")}
        return client.post("/jobs?dry_run=true", json={"dataset": dataset, **spec})

    return ask


def problems(answer):
    assert answer.status_code == 422, answer.text
    return {problem["pointer"]: problem for problem in answer.json["errors"]}


def warnings(answer):
    assert answer.status_code == 200, answer.text
    return answer.json["warnings"]


NUMBERS = random.Random(5)


def number():
    return round(NUMBERS.uniform(-2, 2), 3)


GLASS = csv("RI,Na,Type", [(number(), "" if i % 3 == 2 else number(), "fhc"[i % 3]) for i in range(90)])
RARE = csv(
    "a,b,kind",
    [*((number(), number(), ["usual", "common"][i % 2]) for i in range(60)), (0.5, "", "rare"), (0.7, 0.1, "rare")],
)
HOUSES = csv(
    "LotArea,Alley,PoolQC,SalePrice",
    [(number(), "NA" if i % 2 else "Grvl", "Gd" if i % 2 else "NA", number()) for i in range(80)],
)
# With seed 42 the validation part holds rows 0, 5, 12, 13, 33, … of 60, and none of rows 1 to 4.
FRAUD = csv("v1,v2,class", [(number(), number(), int(1 <= i <= 4)) for i in range(60)])


# Rows that are dropped


@pytest.mark.parametrize("extra", [{}, {"validation_fraction": 0.5}, {"target": "LotArea"}])
def test_a_table_without_a_complete_row_is_refused_with_the_columns_to_blame(dry_run, extra):
    problem = problems(dry_run(HOUSES, dataset={"target": "SalePrice", **extra}))["#/dataset/missing"]
    assert problem["code"] == "no_rows_left"
    assert '"missing": "impute"' in problem["detail"]
    assert '"Alley" in 40 rows, "PoolQC" in 40 rows' in problem["detail"]


@pytest.mark.parametrize("way", [{"missing": "impute"}, {"drop_columns": ["Alley"]}])
def test_the_ways_that_the_refusal_names_lead_out(dry_run, way):
    assert dry_run(HOUSES, dataset={"target": "SalePrice", **way}).status_code == 200


def test_many_dropped_rows_are_a_warning_with_the_columns_to_blame(dry_run):
    table = csv("a,b,y", [("" if i % 4 == 0 else number(), number() if i % 5 else "", number()) for i in range(100)])
    [warning] = warnings(dry_run(table, dataset={"target": "y"}))
    assert warning.startswith("40 of 100 rows have a missing value and are dropped, 60 remain")
    assert '"a" in 25 rows, "b" in 20 rows' in warning


def test_rows_without_a_target_are_counted(dry_run):
    table = csv("a,y", [(number(), "" if i % 2 else number()) for i in range(100)])
    [warning] = warnings(dry_run(table, dataset={"target": "y", "missing": "impute"}))
    assert warning == '50 of 100 rows have no value of the target "y" and are dropped, 50 remain'


def test_a_few_dropped_rows_are_ordinary(dry_run):
    table = csv("a,y", [("" if i < 5 else number(), number()) for i in range(100)])
    assert warnings(dry_run(table, dataset={"target": "y"})) == []


# Classes


def test_the_classes_of_a_job_are_those_that_it_trains(dry_run):
    answer = dry_run(GLASS, dataset={"target": "Type"})
    assert answer.json["task"]["classes"] == ["f", "h"]
    assert answer.json["task"]["kind"] == "binary"
    assert any('no row is left of 1 of the classes of "Type" (c)' in one for one in warnings(answer))
    whole = dry_run(GLASS, dataset={"target": "Type", "missing": "impute"})
    assert whole.json["task"]["classes"] == ["c", "f", "h"]


def test_a_target_that_is_constant_in_the_rows_left_is_refused(dry_run):
    table = csv("a,t", [("" if i % 2 else number(), "xy"[i % 2]) for i in range(40)])
    problem = problems(dry_run(table, dataset={"target": "t"}))["#/dataset/target"]
    assert problem["code"] == "constant_target"
    assert "in the rows that are left" in problem["detail"]


def test_positive_values_that_no_row_left_holds_are_refused(dry_run):
    table = csv("a,t", [("" if i == 7 else number(), i) for i in range(150)])
    for positive in ({"equals": 7}, {"one_of": [7]}):
        answer = problems(dry_run(table, dataset={"target": "t", "positive": positive}))
        assert answer["#/dataset/positive"]["code"] == "one_class"


def test_a_class_with_one_row_left_cannot_be_stratified(dry_run):
    problem = problems(dry_run(RARE, dataset={"target": "kind", "stratify": True}))["#/dataset/stratify"]
    assert problem["code"] == "lone_class"
    assert "after 1 rows with a missing value are dropped" in problem["detail"]
    assert dry_run(RARE, dataset={"target": "kind", "stratify": True, "missing": "impute"}).status_code == 200


def test_a_test_part_needs_rows_and_leaves_rows_of_each_class(dry_run):
    asked = {"target": "kind", "test_fraction": 0.5}
    assert dry_run(RARE, dataset=asked).status_code == 200
    problem = problems(dry_run(RARE, dataset={**asked, "stratify": True, "missing": "impute"}))["#/dataset/stratify"]
    assert "after the test part is split off, a class has too few rows" in problem["detail"]
    problem = problems(dry_run(RARE, dataset={**asked, "test_fraction": 0.99}))["#/dataset/test_fraction"]
    assert problem["detail"] == (
        "received 0.99: of 61 usable rows 0 are left to train on, 0 to validate on and 61 to test on; each needs one"
    )


def test_a_validation_part_of_one_class_is_a_warning_that_names_stratify(dry_run):
    [warning] = warnings(dry_run(FRAUD, dataset={"target": "class"}))
    assert 'the validation part holds only one class of "class"' in warning
    assert '"stratify": true' in warning
    assert warnings(dry_run(FRAUD, dataset={"target": "class", "stratify": True})) == []


def test_a_training_part_of_one_class_is_refused(dry_run):
    table = csv("a,t", [(number(), int(i == 0)) for i in range(60)])
    problem = problems(dry_run(table, dataset={"target": "t"}))["#/dataset/stratify"]
    assert problem["code"] == "one_class_in_training"
    assert "more rows of the rare classes" in problem["detail"]


@pytest.mark.parametrize(("row", "part"), [(0, "training"), (1, "validation")])
def test_a_class_that_a_part_lacks_is_named(dry_run, row, part):
    table = csv("a,t", [(number(), "rare" if i == row else "xy"[i % 2]) for i in range(60)])
    [warning] = warnings(dry_run(table, dataset={"target": "t"}))
    assert warning.startswith(f'the {part} part lacks 1 of 3 classes of "t" (rare)')


def test_a_part_of_one_row_is_a_warning(dry_run):
    table = csv("a,y", [(number(), number()) for _ in range(40)])
    assert any(
        "only one row" in one for one in warnings(dry_run(table, dataset={"target": "y", "validation_fraction": 0.01}))
    )


def test_dates_with_gaps_are_no_target(dry_run):
    table = csv("a,day", [(number(), f"2024-01-{1 + i % 20:02}" if i % 3 else "") for i in range(60)])
    for extra in ({}, {"positive": {"equals": 5}}, {"missing": "impute"}):
        problem = problems(dry_run(table, dates=["day"], dataset={"target": "day", **extra}))["#/dataset/target"]
        assert problem["code"] == "not_numeric"


# Features


def test_dates_named_as_categories_are_categories(dry_run):
    table = csv("day,y", [(f"2024-01-{1 + i % 3:02}" if i % 4 else "", number()) for i in range(60)])
    for encoding, features in (("one_hot", 3), ("hashing", 8), ("target", 1)):
        dataset = {"target": "y", "categorical": ["day"], "categorical_encoding": encoding, "hashing_columns": 8}
        assert dry_run(table, dates=["day"], dataset=dataset).json["task"]["features"] == features


def test_the_mean_of_the_target_needs_two_training_rows(dry_run):
    table = csv("word,x,y", [("abc"[i % 3], number(), number()) for i in range(6)])
    dataset = {"target": "y", "categorical_encoding": "target", "validation_fraction": 0.8}
    assert set(problems(dry_run(table, dataset=dataset))) == {"#/dataset/categorical_encoding"}
    for other in ({"drop_columns": ["word"]}, {"categorical_encoding": "hashing"}, {"validation_fraction": 0.6}):
        assert dry_run(table, dataset={**dataset, **other}).status_code == 200


def test_a_misspelt_encoding_hides_whether_there_are_too_many_categories(dry_run):
    table = csv("key,y", [(f"k{i}", number()) for i in range(1200)])
    dataset = {"target": "y", "categorical_encoding": "targt"}
    assert set(problems(dry_run(table, dataset=dataset))) == {"#/dataset/categorical_encoding"}


def test_the_model_gets_one_place_for_each_category_of_the_training_part(dry_run):
    # Row 0, which is in the validation part, has its own category.
    table = csv("kind,y", [("solo" if i == 0 else "abc"[i % 3], number()) for i in range(60)])
    assert dry_run(table, dataset={"target": "y"}).json["task"]["features"] == 3
    assert dry_run(table, dataset={"target": "y", "split_seed": 1}).json["task"]["features"] == 4


def test_a_boolean_named_as_a_category_is_one_feature_with_impute_as_well(dry_run):
    members = csv("score,member,churn", [(number(), [True, False][i % 2], "YN"[i % 3 % 2]) for i in range(60)])
    for missing in ("drop", "impute"):
        answer = dry_run(members, dataset={"target": "churn", "categorical": ["member"], "missing": missing})
        assert answer.json["task"]["features"] == 2


@pytest.mark.parametrize("cells", [lambda i: int(i == 0), lambda i: "ab"[i == 0], lambda i: [True, False][i == 0]])
def test_an_input_that_is_constant_in_training_is_a_warning(dry_run, cells):
    table = csv("a,b,y", [(cells(i), number(), number()) for i in range(60)])
    [warning] = warnings(dry_run(table, dataset={"target": "y"}))
    assert warning == '"a" holds one value in all training rows, so the model learns nothing from it'


def test_an_input_without_a_value_in_training_is_refused(dry_run):
    table = csv("a,b,y", [("3.5" if i in {0, 5} else "", number(), number()) for i in range(60)])
    problem = problems(dry_run(table, dataset={"target": "y", "missing": "impute"}))["#/dataset/drop_columns"]
    assert problem["code"] == "empty_column"
    assert '"a" has no value in the training part' in problem["detail"]


# Numbers beyond float32


def outlier(column, value, row):
    cells = [[number(), number(), number()] for _ in range(60)]
    cells[row][column] = value
    return csv("a,b,y", cells)


@pytest.mark.parametrize("row", [0, 17])
@pytest.mark.parametrize("value", ["1e39", "-1e300", "1e20"])
def test_a_target_too_large_for_training_is_named_with_its_value(dry_run, row, value):
    problem = problems(dry_run(outlier(2, value, row), dataset={"target": "y"}))["#/dataset/target"]
    assert problem["code"] == "beyond_float32"
    assert f'"y" holds {float(value):g}' in problem["detail"]


def test_a_large_target_whose_square_is_not_needed_is_taken(dry_run):
    loss = {"loss": "mean_absolute_error"}
    assert dry_run(outlier(2, "1e30", 0), dataset={"target": "y"}, hyperparameters=loss).status_code == 200
    assert "#/dataset/target" in problems(
        dry_run(outlier(2, "1e30", 0), dataset={"target": "y"}, hyperparameters={**loss, "metrics": ["rmse"]})
    )


def test_a_large_target_in_a_row_that_is_dropped_hurts_nobody(dry_run):
    table = outlier(2, "1e39", 59).splitlines()
    table[-1] = "," + table[-1].split(",", 1)[1]
    assert dry_run("\n".join(table), dataset={"target": "y"}).status_code == 200


@pytest.mark.parametrize(("value", "scaling"), [("1e39", "none"), ("1e300", "standard"), ("1e300", "robust")])
def test_an_input_that_float32_does_not_hold_after_scaling_is_named_with_its_value(dry_run, value, scaling):
    table = outlier(1, value, 17)
    problem = problems(dry_run(table, dataset={"target": "y", "scaling": scaling}))["#/dataset/drop_columns"]
    assert problem["code"] == "beyond_float32"
    assert f'"b" holds {float(value):g}' in problem["detail"]
    assert dry_run(table, dataset={"target": "y", "scaling": scaling, "drop_columns": ["b"]}).status_code == 200


def test_an_input_that_scaling_makes_small_is_taken(dry_run):
    assert dry_run(outlier(1, "1e39", 17), dataset={"target": "y", "scaling": "minmax"}).status_code == 200
