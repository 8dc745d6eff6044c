"""From the requested spec to the one that runs: inference, misfits with the data, and the list of bad input."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.features import DATE_FEATURES
from shared.problems import Refused
from shared.resolve import resolve
from shared.spec import MOST_PARAMETERS, JobSpec
from shared.task import MOST_CATEGORIES, MOST_CLASSES
from shared.validation import validate
from tests.unit.shared.records import GRADES, ROWS, dataset, listed, numbers, resolved, spec

TEXTS = listed("t", {"a": 30, "b": 30, "c": 40}, kind="text")
TWO = listed("t", {"no": 50, "yes": 50}, kind="text")
FLAG = listed("t", {False: 50, True: 50}, kind="boolean")
PRICE = numbers("t", 95)
IDS = listed("t", {f"id-{one}": 1 for one in range(100)}, kind="text")


def asked(target="t", **parts):
    document = {"dataset": {"id": "wine", "target": target}}
    for name, value in parts.items():
        document[name] = {**document.get(name, {}), **value}
    return document


def judged(document, *columns, rows=ROWS):
    return resolved(document, dataset(*columns, rows=rows))


def refusal(document, *columns, rows=ROWS):
    """Return the problems by their pointers; each pointer names a field of the spec, written out or not."""
    data = dataset(*columns, rows=rows) if columns else dataset(GRADES, rows=rows)
    spec_asked = validate(JobSpec, document)
    with pytest.raises(Refused) as caught:
        resolve(spec_asked, data)
    whole = json.loads(spec_asked.model_dump_json())
    for problem in caught.value.problems:
        here = whole
        for part in problem.pointer.removeprefix("#/").split("/"):
            here = here[int(part) if isinstance(here, list) else part]
    return {problem.pointer: problem for problem in caught.value.problems}


# What follows from the target


@pytest.mark.parametrize(
    ("column", "kind", "loss", "metrics", "classes"),
    [
        (TWO, "binary", "binary_crossentropy", ("accuracy", "precision", "recall"), ("no", "yes")),
        (FLAG, "binary", "binary_crossentropy", ("accuracy", "precision", "recall"), (False, True)),
        (TEXTS, "multiclass", "sparse_categorical_crossentropy", ("accuracy",), ("a", "b", "c")),
        (listed("t", {1: 50, 2: 25, 3: 25}), "multiclass", "sparse_categorical_crossentropy", ("accuracy",), (1, 2, 3)),
        (PRICE, "regression", "mean_squared_error", ("mae",), None),
        (numbers("t", 50, kind="integer"), "regression", "mean_squared_error", ("mae",), None),
    ],
    ids=["two texts", "a flag", "texts", "few whole numbers", "fractions", "many whole numbers"],
)
def test_the_target_decides_the_task_the_loss_the_metrics_and_the_classes(column, kind, loss, metrics, classes):
    answer = judged(asked(), column)
    assert (answer.task.kind, answer.task.classes) == (kind, classes)
    assert answer.spec.hyperparameters.loss == loss
    assert answer.spec.hyperparameters.metrics == metrics
    assert answer.task.log_names == (
        "loss", *metrics, "val_loss", *(f"val_{metric}" for metric in metrics)
    )  # fmt: skip


def test_with_positive_values_any_target_is_binary_and_has_no_classes_of_its_own():
    answer = resolved(spec())
    assert (answer.task.kind, answer.task.classes) == ("binary", None)


@pytest.mark.parametrize(
    ("loss", "kind"),
    [("mean_absolute_error", "regression"), ("huber", "regression"), ("sparse_categorical_crossentropy", "multiclass")],
)
def test_a_loss_that_was_asked_for_decides_the_task(loss, kind):
    assert judged(asked("grade", hyperparameters={"loss": loss}), GRADES).task.kind == kind


def test_what_watches_follows_from_the_task():
    classes = resolved(spec()).spec.callbacks
    assert (classes.early_stopping.monitor, classes.early_stopping.mode) == ("val_accuracy", "max")
    assert (classes.reduce_lr_on_plateau.monitor, classes.reduce_lr_on_plateau.mode) == ("val_loss", "min")
    assert classes.model_checkpoint.filename == "model-{epoch:02d}-{val_accuracy:.2f}"
    quantity = judged(asked(), PRICE).spec.callbacks
    assert (quantity.early_stopping.monitor, quantity.early_stopping.mode) == ("val_loss", "min")
    assert quantity.model_checkpoint.filename == "model-{epoch:02d}-{val_loss:.4f}"


def test_without_metrics_the_loss_is_watched():
    answer = resolved(spec("hyperparameters/metrics", []))
    assert answer.task.log_names == ("loss", "val_loss")
    assert answer.spec.callbacks.early_stopping.monitor == "val_loss"


def test_a_callback_that_is_off_stays_off():
    callbacks = resolved(
        spec("callbacks", dict.fromkeys(("early_stopping", "model_checkpoint", "csv_logger")))
    ).spec.callbacks
    assert (callbacks.early_stopping, callbacks.model_checkpoint, callbacks.csv_logger) == (None, None, None)


def test_a_job_without_a_name_is_called_after_its_data():
    assert resolved(spec()).spec.name == "wine"
    assert resolved(spec("name", "mine")).spec.name == "mine"


# Monitors, modes, file names


@pytest.mark.parametrize("callback", ["model_checkpoint", "reduce_lr_on_plateau", "early_stopping"])
def test_a_monitor_that_the_run_will_not_have_is_refused_with_those_that_it_will(callback):
    problems = refusal(spec(f"callbacks/{callback}/monitor", "val_acuracy"))
    problem = problems[f"#/callbacks/{callback}/monitor"]
    assert problem.code == "unknown_monitor"
    assert 'Did you mean "val_accuracy"?' in problem.detail
    assert "loss, accuracy, precision, recall, val_loss" in problem.detail


@pytest.mark.parametrize("monitor", ["val_auc", "accuracy_val", "learning_rate", "val_mae", "x\x1b"])
def test_a_metric_that_is_not_measured_cannot_be_watched(monitor):
    assert "#/callbacks/early_stopping/monitor" in refusal(spec("callbacks/early_stopping/monitor", monitor))


def test_a_schedule_takes_the_place_of_the_reduction_on_a_plateau():
    callbacks = resolved(spec("callbacks", {"learning_rate_schedule": {"warmup_epochs": 5}})).spec.callbacks
    assert callbacks.reduce_lr_on_plateau is None
    assert callbacks.learning_rate_schedule.decay_epochs == 995
    both = {"learning_rate_schedule": {"min_lr": 0.5}, "reduce_lr_on_plateau": {"patience": 3}}
    problems = refusal(spec("callbacks", both))
    assert problems["#/callbacks/learning_rate_schedule"].code == "two_rules"
    assert problems["#/callbacks/learning_rate_schedule/min_lr"].code == "above_learning_rate"
    assert resolved(spec("callbacks", {**both, "learning_rate_schedule": {}, "reduce_lr_on_plateau": None}))


def test_a_metric_that_is_asked_for_can_be_watched():
    document = spec("hyperparameters/metrics", ["auc"])
    document["callbacks"] = {"early_stopping": {"monitor": "val_auc", "mode": "max"}}
    assert resolved(document).spec.callbacks.early_stopping.monitor == "val_auc"


@pytest.mark.parametrize(
    ("monitor", "mode"), [("val_accuracy", "min"), ("accuracy", "min"), ("val_loss", "max"), ("loss", "max")]
)
def test_a_mode_that_waits_for_things_to_grow_worse_is_refused(monitor, mode):
    problems = refusal(spec("callbacks/early_stopping", {"monitor": monitor, "mode": mode}))
    assert problems["#/callbacks/early_stopping/mode"].code == "wrong_mode"


@pytest.mark.parametrize("name", ["{val_auc:.2f}", "{mae}", "{epochs}"])
def test_a_file_name_takes_only_what_the_run_will_have(name):
    problems = refusal(spec("callbacks/model_checkpoint/filename", name))
    assert problems["#/callbacks/model_checkpoint/filename"].code == "unknown_field"


# Losses and metrics


@pytest.mark.parametrize(
    ("column", "loss", "pointer"),
    [
        (TEXTS, "mean_squared_error", "#/dataset/target"),
        (TEXTS, "binary_crossentropy", "#/dataset/target"),
        (PRICE, "binary_crossentropy", "#/dataset/target"),
        (numbers("t", MOST_CLASSES + 1), "sparse_categorical_crossentropy", "#/dataset/target"),
    ],
)
def test_a_loss_that_does_not_fit_the_target_is_refused(column, loss, pointer):
    assert pointer in refusal(asked(hyperparameters={"loss": loss}), column)


@pytest.mark.parametrize("loss", ["mean_squared_error", "sparse_categorical_crossentropy", "huber"])
def test_a_loss_that_does_not_fit_positive_values_is_refused(loss):
    assert refusal(spec("hyperparameters/loss", loss))["#/hyperparameters/loss"].code == "loss_does_not_fit"


@pytest.mark.parametrize(
    ("column", "metric"),
    [(TWO, "mae"), (TWO, "r2"), (TEXTS, "precision"), (TEXTS, "auc"), (PRICE, "accuracy"), (PRICE, "recall")],
)
def test_a_metric_that_does_not_fit_the_target_is_refused_at_its_own_place(column, metric):
    good = judged(asked(), column).spec.hyperparameters.metrics[0]
    problems = refusal(asked(hyperparameters={"metrics": [good, metric]}), column)
    assert problems["#/hyperparameters/metrics/1"].code == "metric_does_not_fit"


def test_a_metric_that_is_named_twice_is_refused():
    assert refusal(spec("hyperparameters/metrics", ["auc", "auc"]))["#/hyperparameters/metrics"].code == "duplicate"


# Columns


def test_a_target_that_the_data_does_not_have_is_refused_with_the_columns_that_it_has():
    problem = refusal(asked("grades"), GRADES)["#/dataset/target"]
    assert 'received "grades": no such column. Did you mean "grade"? The data has a, b, colour, grade' in problem.detail


@pytest.mark.parametrize(
    ("field", "value", "pointer", "code"),
    [
        ("drop_columns", ["a", "z"], "#/dataset/drop_columns/1", "unknown_column"),
        ("drop_columns", ["grade"], "#/dataset/drop_columns", "target_dropped"),
        ("drop_columns", ["a", "b", "colour"], "#/dataset/drop_columns", "no_features"),
        ("categorical", ["z"], "#/dataset/categorical/0", "unknown_column"),
    ],
)
def test_columns_that_are_not_there_or_are_needed_are_refused(field, value, pointer, code):
    assert refusal(spec(f"dataset/{field}", value))[pointer].code == code


def test_a_column_without_a_value_is_refused_until_it_is_dropped():
    empty = listed("empty", {}, missing=ROWS, kind="float")
    assert refusal(asked("grade"), GRADES, empty)["#/dataset/drop_columns"].code == "empty_column"
    assert judged(asked("grade", dataset={"drop_columns": ["empty"]}), GRADES, empty)


def test_a_text_of_too_many_values_is_refused_until_it_is_dropped():
    key = listed("key", {f"k{one}": 1 for one in range(MOST_CATEGORIES + 1)}, kind="text")
    assert refusal(asked("grade"), GRADES, key, rows=2000)["#/dataset/drop_columns"].code == "too_many_categories"
    assert judged(asked("grade", dataset={"drop_columns": ["key"]}), GRADES, key, rows=2000)


@pytest.mark.parametrize("encoding", ["hashing", "target"])
def test_the_advice_for_a_text_of_too_many_values_works(encoding):
    key = listed("key", {f"k{one}": 1 for one in range(MOST_CATEGORIES + 1)}, kind="text")
    problem = refusal(asked("grade"), GRADES, key, rows=2000)["#/dataset/drop_columns"]
    assert f'"{encoding}"' in problem.detail
    assert '"categorical_encoding"' in problem.detail
    assert judged(asked("grade", dataset={"categorical_encoding": encoding}), GRADES, key, rows=2000)


def test_the_features_follow_from_what_a_column_holds_and_how_it_is_encoded():
    text, word = listed("text", {"a": 30, "b": 30, "c": 40}, kind="text"), {"categorical_encoding": "target"}
    when = numbers("when", 95, kind="datetime")
    gaps = listed("gaps", {True: 40, False: 50}, missing=10, kind="boolean")

    def features(target, *without, **dataset):
        document = asked("t", dataset={"drop_columns": ["a", "b", "colour", *without], **dataset})
        return judged(document, target, text, when, gaps).task.features

    assert features(PRICE, "when", "gaps") == 3
    assert features(PRICE, "text", "gaps") == DATE_FEATURES
    assert features(PRICE, "text", "when") == 1
    assert features(PRICE, "when", "gaps", categorical_encoding="hashing", hashing_columns=10) == 10
    assert features(PRICE, "gaps", **word, categorical=["when"]) == 2
    assert features(TEXTS, "when", "gaps", **word) == 3, "one mean for each class"
    assert features(TWO, "when", "gaps", **word) == 1


@pytest.mark.parametrize("loss", ["auto", "mean_squared_error"])
def test_moments_are_no_target(loss):
    when = numbers("t", 95, kind="datetime")
    problems = refusal(asked("t", hyperparameters={"loss": loss}), when, GRADES)
    assert problems["#/dataset/target"].code == "not_numeric"


@pytest.mark.parametrize(
    ("column", "categorical", "features"),
    [
        (listed("x", {"p": 50, "q": 50}, kind="text"), "auto", 4),
        (listed("x", {"p": 50, "q": 25, "r": 25}, kind="text"), "auto", 6),
        (listed("x", {1: 50, 2: 25, 3: 25}), "auto", 4),
        (listed("x", {1: 50, 2: 25, 3: 25}), ["x"], 6),
        (listed("x", {False: 50, True: 50}, kind="boolean"), "auto", 4),
    ],
)
def test_the_models_input_has_one_place_for_each_number_and_each_category(column, categorical, features):
    document = asked("grade", dataset={"categorical": categorical})
    assert judged(document, GRADES, column).task.features == features


# The target's values


@pytest.mark.parametrize(
    ("column", "code"),
    [
        (listed("t", {5: 100}), "constant_target"),
        (listed("t", {"x": 100}, kind="text"), "constant_target"),
        (listed("t", {}, missing=100, kind="float"), "constant_target"),
    ],
)
def test_a_constant_target_teaches_nothing(column, code):
    assert refusal(asked(), column)["#/dataset/target"].code == code


@pytest.mark.parametrize(
    ("positive", "which"),
    [
        ({"at_least": 3}, "every row"),
        ({"at_least": 9}, "no row"),
        ({"at_most": 8}, "every row"),
        ({"equals": 99}, "no row"),
        ({"equals": "6"}, "no row"),
        ({"one_of": [3, 4, 5, 6, 7, 8]}, "every row"),
        ({"one_of": ["red"]}, "no row"),
    ],
)
def test_positive_values_that_leave_one_class_are_refused_with_what_the_target_holds(positive, which):
    problem = refusal(spec("dataset/positive", positive))["#/dataset/positive"]
    assert problem.code == "one_class"
    assert problem.detail == f'makes {which} of "grade" positive; it holds 3, 4, 5, 6, 7, 8'


def test_positive_values_are_judged_by_the_ends_where_the_values_are_too_many_to_list():
    many = numbers("t", 200)
    assert "#/dataset/positive" in refusal(asked(dataset={"positive": {"at_least": 1000}}), many, rows=200)
    assert judged(asked(dataset={"positive": {"at_least": 50}}), many, rows=200).task.kind == "binary"


def test_too_many_classes_are_refused():
    names = listed("t", {f"n{one}": 1 for one in range(MOST_CLASSES + 1)}, kind="text")
    assert refusal(asked(), names, rows=2000)["#/dataset/target"].code == "too_many_classes"


# The two parts of the data


@pytest.mark.parametrize(("fraction", "rows"), [(0.999, 40), (0.5, 1), (1 - 1e-12, 10**6), (0.976, 40)], ids=str)
def test_a_fraction_that_leaves_a_part_empty_is_refused(fraction, rows):
    problems = refusal(spec("dataset/validation_fraction", fraction), rows=rows)
    assert problems["#/dataset/validation_fraction"].code == "empty_part"


@pytest.mark.parametrize(("fraction", "rows"), [(1e-12, 40), (0.97, 40), (0.5, 2), (0.999, 2000)])
def test_a_fraction_that_leaves_one_row_for_each_part_is_taken(fraction, rows):
    assert resolved(spec("dataset/validation_fraction", fraction), dataset(GRADES, rows=rows))


def test_rows_with_a_missing_value_do_not_count_unless_they_are_filled_in():
    gaps = numbers("gaps", 50, missing=99)
    assert refusal(asked("grade"), GRADES, gaps)["#/dataset/missing"].code == "no_rows_left"
    assert judged(asked("grade", dataset={"missing": "impute"}), GRADES, gaps)


def test_a_regression_cannot_be_stratified():
    assert refusal(asked(dataset={"stratify": True}), PRICE)["#/dataset/stratify"].code == "not_classes"


def test_a_class_of_one_row_cannot_be_stratified():
    lone = listed("t", {"a": 60, "b": 39, "c": 1}, kind="text")
    assert refusal(asked(dataset={"stratify": True}), lone)["#/dataset/stratify"].code == "lone_class"
    assert judged(asked(dataset={"stratify": False}), lone)


def test_a_positive_class_of_one_row_cannot_be_stratified():
    lone = listed("t", {1: 60, 2: 39, 3: 1})
    document = asked(dataset={"stratify": True, "positive": {"equals": 3}})
    assert refusal(document, lone)["#/dataset/stratify"].code == "lone_class"


@pytest.mark.parametrize("fraction", [0.02, 0.98])
def test_parts_that_are_smaller_than_the_classes_are_many_cannot_be_stratified(fraction):
    document = asked(dataset={"stratify": True, "validation_fraction": fraction})
    assert refusal(document, TEXTS)["#/dataset/stratify"].code == "too_few_rows"


# Sizes


def test_a_batch_is_never_larger_than_the_training_rows_and_the_job_says_so():
    answer = resolved(spec("hyperparameters/batch_size", 65_536))
    assert answer.spec.hyperparameters.batch_size == 80
    assert any("batch_size 65536 is more than the 80 training rows; 80 is used" in one for one in answer.warnings)


def test_a_batch_of_all_training_rows_is_taken_as_it_is():
    answer = resolved(spec("hyperparameters/batch_size", 80))
    assert answer.spec.hyperparameters.batch_size == 80
    assert not any("batch_size" in one for one in answer.warnings)


def test_the_parameters_are_counted_by_arithmetic():
    answer = resolved(spec("model/layers", [10, 20]))
    assert answer.task.parameters == (3 * 10 + 10) + (10 * 20 + 20) + (20 + 1)
    assert judged(asked(model={"layers": [10]}), TEXTS).task.parameters == (3 * 10 + 10) + (10 * 3 + 3)


@pytest.mark.parametrize("layers", [[65_536, 65_536], [8_000] * 64, [7_100, 7_100]])
def test_layers_that_are_each_legal_and_together_huge_are_refused(layers):
    problem = refusal(spec("model/layers", layers))["#/model/layers"]
    assert problem.code == "too_many_parameters"
    assert f"expected at most {MOST_PARAMETERS}" in problem.detail


@given(st.lists(st.integers(1, 65_536), min_size=1, max_size=64))
def test_no_layers_pass_that_make_more_parameters_than_may_be(layers):
    widths = [3, *layers, 1]
    count = sum(before * after + after for before, after in itertools.pairwise(widths))
    try:
        assert resolved(spec("model/layers", layers)).task.parameters == count <= MOST_PARAMETERS
    except Refused:
        assert count > MOST_PARAMETERS


# Jobs that run, but probably not as intended


@pytest.mark.parametrize(
    ("callbacks", "warning"),
    [
        (
            {"early_stopping": {"monitor": "val_loss", "patience": 5}, "reduce_lr_on_plateau": {"patience": 5}},
            "training may stop",
        ),
        ({"early_stopping": {"patience": 5}, "reduce_lr_on_plateau": {"patience": 6}}, "training may stop"),
        ({"reduce_lr_on_plateau": {"min_lr": 0.001}}, "it is never reduced"),
        ({"early_stopping": {"start_from_epoch": 990, "patience": 10}}, "cannot act before epoch 1001 of 1000"),
    ],
)  # fmt: skip
def test_callbacks_that_can_never_act_are_told_of(callbacks, warning):
    assert any(warning in one for one in resolved(spec("callbacks", callbacks)).warnings)


@pytest.mark.parametrize(
    "callbacks",
    [
        {"early_stopping": {"patience": 10}, "reduce_lr_on_plateau": {"patience": 3}},
        {"early_stopping": {"start_from_epoch": 989, "patience": 10}, "reduce_lr_on_plateau": None},
        {"early_stopping": None, "reduce_lr_on_plateau": {"patience": 500}},
    ],
)
def test_callbacks_that_can_act_are_not_told_of(callbacks):
    assert resolved(spec("callbacks", callbacks)).warnings == ()


@pytest.mark.parametrize("callback", ["early_stopping", "reduce_lr_on_plateau"])
@pytest.mark.parametrize("metric", ["accuracy", "precision", "recall", "auc"])
@pytest.mark.parametrize(("min_delta", "is_reachable"), [(1, False), (50.0, False), (0.99, True), (0.001, True)])
def test_an_improvement_that_no_metric_can_make_is_a_warning(callback, metric, min_delta, is_reachable):
    document = spec("hyperparameters/metrics", [metric])
    document["callbacks"] = {callback: {"monitor": f"val_{metric}", "min_delta": min_delta}}
    found = [one for one in resolved(document).warnings if "can never be reached" in one]
    assert len(found) == (not is_reachable)
    assert all(f"{callback}.min_delta {min_delta:g}" in one and f"val_{metric}" in one for one in found)


@pytest.mark.parametrize("monitor", ["val_loss", "val_mae", "val_r2"])
def test_an_improvement_of_1_is_possible_where_a_value_has_no_bounds(monitor):
    document = asked(hyperparameters={"metrics": ["mae", "r2"]})
    document["callbacks"] = {"early_stopping": {"monitor": monitor, "min_delta": 1, "patience": 20}}
    assert judged(document, PRICE).warnings == ()


@pytest.mark.parametrize("column", [TWO, TEXTS, PRICE, FLAG], ids=["binary", "multiclass", "regression", "boolean"])
def test_defaults_never_warn_about_themselves(column):
    answer = judged(asked(), column)
    assert answer.warnings == ()
    again = json.loads(answer.spec.model_dump_json())
    assert judged(again, column).warnings == (), "nor when they are written out"


def test_a_default_batch_larger_than_the_rows_is_no_warning():
    answer = resolved(data=dataset(GRADES, rows=20))
    assert (answer.spec.hyperparameters.batch_size, answer.warnings) == (16, ())


# The list of bad input: everything in it that a spec and its data can show

BAD = [
    *[("", document) for document in (None, [], "x", 5, {}, {"dataset": None})],
    *[(name, "x") for name in ("epoch", "id", "status", "created_at")],
    *[("name", f"a{character}b") for character in "\x00\x1b\x7f\u202e\u200b\u2028\ud800\n"],
    *[("name", value) for value in ("", "x" * 129, 5)],
    *[("hyperparameters/epochs", value) for value in (0, -5, 10**9, True, "5", 1.5, None, float("nan"), 1e400)],
    *[("hyperparameters/batch_size", value) for value in (0, -1, 65_537, True, "32")],
    *[("hyperparameters/learning_rate", value) for value in (0, -1, "1e-3", True, float("nan"), float("inf"), 10**400)],
    *[("hyperparameters/metrics", value) for value in (["mae"], ["acc"], "accuracy", [{"class_name": "AUC"}])],
    *[("hyperparameters/loss", value) for value in ("mean_squared_error", "os.system", {"class_name": "x"})],
    *[("hyperparameters/optimizer", value) for value in ("os.system", {"class_name": "Adam"}, None)],
    *[("model/layers", value) for value in (10**9, [10**9], [8000] * 64, [], [True], [2.5], [8] * 100_000, [0], ["8"])],
    *[("model/activation", value) for value in ("os.system", {"class_name": "Lambda"}, "", None, ["relu"])],
    *[("model/dropout", value) for value in (1.0, -0.1, float("nan"), True)],
    *[("callbacks/early_stopping/monitor", value) for value in ("val_acuracy", "", "x" * 65, None)],
    ("callbacks/early_stopping", {"monitor": "val_accuracy", "mode": "min"}),
    *[
        ("callbacks/model_checkpoint/filename", value)
        for value in ("{epoch.__class__}", "{epoch:0200000000d}", "o/../../x", "/etc/x", "..", "{0.__class__}", "")
    ],
    *[("dataset/id", value) for value in ("../../etc/passwd", "%2e%2e", "x" * 10_240, "", ".", None)],
    *[("dataset/target", value) for value in ("nothing", "", "grade\n", None)],
    *[("dataset/validation_fraction", value) for value in (0, 1, 0.999, -0.1, 1.5, float("nan"))],
    *[("dataset/positive", value) for value in ({"at_least": 99}, {"at_most": 8}, {"equals": "x"}, {"name": "x"})],
    *[("metadata", value) for value in ({"a": "\x1b"}, {"\u202e": "a"}, {"a": 5}, [["a", "b"]])],
    *[("priority", value) for value in (-1, 10, 2.0, "5")],
]  # fmt: skip


@pytest.mark.parametrize(("path", "value"), BAD, ids=lambda value: ascii(value)[:30])
def test_bad_input_is_refused_with_the_place_of_the_fault(path, value):
    document = spec(path, value) if path else value
    with pytest.raises(Refused) as caught:
        resolve(validate(JobSpec, document), dataset(GRADES, rows=40))
    where = [problem.pointer for problem in caught.value.problems]
    lone_surrogate = path == "name" and "\ud800" in str(value)
    assert any(one.startswith("#/" + path) for one in where) or not path or lone_surrogate


@pytest.mark.parametrize(
    "name",
    ["<img src=x onerror=alert(1)>", "{0.__class__}", "%s%n", "{{7*7}}", "'; drop table", "x" * 128],
)  # fmt: skip
def test_a_name_that_is_only_text_is_kept_as_it_is(name):
    assert resolved(spec("name", name)).spec.name == name


# Several devices


def test_what_several_devices_cannot_do_is_refused_by_all_its_fields_at_once():
    wrong = {"devices": 4, "batch_size": 3, "engine": "fused", "xla": True}
    found = refusal(asked("grade", hyperparameters=wrong))
    assert {pointer.removeprefix("#/hyperparameters/"): problem.code for pointer, problem in found.items()} == {
        "engine": "one_device_only", "xla": "one_device_only", "devices": "too_many_devices",
    }  # fmt: skip
    assert 'use "auto" or "stock", or devices 1' in found["#/hyperparameters/engine"].detail
    assert "received 4, expected at most 3, batch_size" in found["#/hyperparameters/devices"].detail


def test_one_device_and_several_are_taken_with_what_they_can_do():
    assert (
        judged(asked("grade", hyperparameters={"devices": 1, "engine": "fused", "xla": True}), GRADES).spec.devices == 1
    )
    assert judged(asked("grade", hyperparameters={"devices": 32, "engine": "stock"}), GRADES).spec.devices == 32
