"""The spec: what is accepted, what is refused, and that a stored spec is read back unchanged."""

import json
import string
from typing import Annotated

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from shared.durable import encode
from shared.job import JobRecord, as_json
from shared.problems import Refused
from shared.resolve import resolve
from shared.spec import MOST_EPOCHS, JobSpec, ModelCheckpointSpec, Positive, filename_fields
from shared.spec.base import Strict
from shared.validation import validate
from tests.unit.shared.records import GRADES, dataset, places, replaced, resolved, spec

DATA = dataset(GRADES)
WHOLE = {**resolved().spec.model_dump(mode="json"), "metadata": {"team": "cellar"}}
PLACES = list(places(WHOLE))
FLOATS = st.floats(width=32) | st.sampled_from([0.0, -0.0, 1e-30, 3.4e38, -3.4e38, float("inf"), float("nan")])

NASTY = st.sampled_from(
    [None, True, False, 0, -1, 5, 1.5, 2**31, 2**63, 2**64, 10**30, 10**400, 1e308, -0.0, float("nan"), float("inf"),
     "", "auto", "5", "1e-3", "os.system", "relu", "wine", "grade", "a", "val_accuracy", "val_loss", "loss", "min",
     "max", "\x00", "\ud800", "\u202e", "{epoch}", "{0}", "{", "}", "../x", [], [[]], [1], ["a"], [True], {}, {"a": 1},
     {"at_least": 6}, {"equals": "x"}, {"one_of": [3, "x", 1.5, True]}, {"class_name": "relu"}, ["accuracy"] * 2]
)  # fmt: skip
TEXTS = st.text(st.characters(), max_size=8)
JSON = st.recursive(
    NASTY | st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(TEXTS, below, max_size=4),
    max_leaves=8,
)


def models_of(parent):
    for model in parent.__subclasses__():
        yield model
        yield from models_of(model)


@pytest.mark.parametrize(
    "model", sorted(set(models_of(Strict)), key=lambda one: one.__name__), ids=lambda one: one.__name__
)
def test_each_default_may_also_be_written(model):
    for name, field in model.model_fields.items():
        if not field.is_required():
            kind = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
            default = field.get_default(call_default_factory=True)
            assert TypeAdapter(kind).validate_python(default) == default, name


def judged(document):
    """Return the spec as it would be stored, or the refusal; any other error is a bug."""
    try:
        return resolve(validate(JobSpec, document), DATA)
    except Refused as refused:
        return refused


@given(st.sampled_from(PLACES), JSON)
@settings(max_examples=400)
def test_whatever_stands_at_whatever_place_is_taken_or_refused_and_raises_nothing_else(place, value):
    judged(replaced(WHOLE, place, value))


@given(st.lists(st.tuples(st.sampled_from(PLACES[1:]), NASTY), min_size=2, max_size=5))
@settings(max_examples=100)
def test_several_odd_values_at_once_are_taken_or_refused(changes):
    document = WHOLE
    for place, value in changes:
        if place in set(places(document)):
            document = replaced(document, place, value)
    judged(document)


@given(JSON)
@settings(max_examples=100)
def test_a_document_of_any_shape_is_taken_or_refused(document):
    judged(document)


@given(st.sampled_from([place for place in PLACES if len(place) < 3]), TEXTS, JSON)
@settings(max_examples=100)
def test_a_field_of_any_name_is_taken_or_refused(place, name, value):
    here = WHOLE
    for part in place:
        here = here[part]
    judged(replaced(WHOLE, place, {**here, name: value} if isinstance(here, dict) else value))


SPECS = st.fixed_dictionaries(
    {"dataset": st.fixed_dictionaries(
        {"id": st.just("wine"), "target": st.just("grade")},
        optional={
            "positive": st.none() | st.sampled_from(
                [{"at_least": 6}, {"at_least": 5.5}, {"at_most": 3}, {"equals": 5}, {"equals": 5.0},
                 {"one_of": [3, 4.0, "x", True]}]
            ),
            "drop_columns": st.sampled_from([[], ["a"], ["a", "colour"]]),
            "missing": st.sampled_from(["drop", "impute"]),
            "categorical": st.sampled_from(["auto", [], ["b"]]),
            "validation_fraction": st.floats(0.05, 0.9),
            "stratify": st.booleans(),
            "split_seed": st.integers(0, 2**32 - 1),
            "categorical_encoding": st.sampled_from(["one_hot", "hashing", "target"]),
            "hashing_columns": st.integers(2, 4096),
            "scaling": st.sampled_from(["standard", "minmax", "robust", "none"]),
        },
    )},
    optional={
        "name": st.sampled_from([None, "wine", "Grüner Veltliner 🍷", "<img src=x onerror=alert(1)>", "{{7*7}}%s"]),
        "priority": st.integers(0, 9),
        "model": st.fixed_dictionaries({}, optional={
            "layers": st.lists(st.integers(1, 500), min_size=1, max_size=4), "dropout": st.floats(0, 0.99),
        }),
        "hyperparameters": st.fixed_dictionaries({}, optional={
            "epochs": st.integers(1, MOST_EPOCHS), "batch_size": st.integers(1, 65_536),
            "learning_rate": st.floats(0, 100, exclude_min=True),
            "metrics": st.sampled_from(["auto", [], ["accuracy"]]),
        }),
        "callbacks": st.fixed_dictionaries({}, optional={
            "model_checkpoint": st.none() | st.just({"filename": "m{epoch:03d}-{loss:.3f}"}),
            "reduce_lr_on_plateau": st.none() | st.builds(lambda factor: {"factor": factor}, st.floats(0.01, 0.99)),
            "early_stopping": st.none() | st.builds(lambda delta: {"min_delta": delta}, st.floats(0, 1e300)),
            "csv_logger": st.none() | st.just({"separator": "\t"}),
        }),
        "metadata": st.dictionaries(st.sampled_from(["a", "b", "ü"]), st.sampled_from(["", "x", "🍷"])),
    },
)  # fmt: skip


@given(SPECS)
@settings(max_examples=100)
def test_a_stored_spec_comes_back_byte_for_byte_and_says_the_same_when_it_is_posted_again(document):
    answer = judged(document)
    if isinstance(answer, Refused):
        assert {problem.pointer.split("/")[1] for problem in answer.problems} <= {"dataset", "callbacks"}
        return
    record = JobRecord(
        id="job_x",
        created_at="2026-11-23T19:12:00.000Z",
        spec=answer.spec,
        task=answer.task,
        data_sha256="0",
        warnings=answer.warnings,
    )
    content = encode(as_json(record))
    back = JobRecord.model_validate_json(content)
    assert back == record
    assert encode(as_json(back)) == content
    again = resolve(validate(JobSpec, json.loads(content)["spec"]), DATA)
    assert (again.spec, again.task) == (answer.spec, answer.task)


@given(SPECS)
@settings(max_examples=50)
def test_a_resolved_spec_leaves_nothing_open(document):
    answer = judged(document)
    if isinstance(answer, Refused):
        return
    spec = answer.spec
    assert spec.name
    assert spec.hyperparameters.loss != "auto"
    assert spec.hyperparameters.chosen_metrics == spec.hyperparameters.metrics
    for callback in (
        spec.callbacks.model_checkpoint,
        spec.callbacks.reduce_lr_on_plateau,
        spec.callbacks.early_stopping,
    ):
        assert callback is None or (callback.monitor in answer.task.log_names and callback.mode in {"min", "max"})
    checkpoint = spec.callbacks.model_checkpoint
    assert checkpoint is None or set(filename_fields(checkpoint.filename)) <= {"epoch", *answer.task.log_names}


def test_the_least_that_may_be_asked_for_is_the_articles_example():
    asked = validate(JobSpec, {"dataset": {"id": "wine", "target": "grade"}})
    assert asked.model.layers == (64, 64, 64)
    assert (asked.hyperparameters.epochs, asked.hyperparameters.batch_size) == (1000, 32)
    assert asked.hyperparameters.learning_rate == 0.001
    assert asked.callbacks.early_stopping.patience == 10
    assert asked.callbacks.reduce_lr_on_plateau.min_lr == 0.00001
    assert asked.callbacks.csv_logger.separator == ","
    assert (asked.priority, asked.dataset.validation_fraction, asked.dataset.split_seed) == (5, 0.2, 42)


# The file names of checkpoints

FIELDS = st.sampled_from(["epoch", "loss", "val_loss", "val_accuracy", "x" * 30, "0", "", "a.b", "a[0]", "__class__"])
FORMS = st.sampled_from(["", "02d", "d", ".2f", ".4f", "08.3f", "5", "99", "099.9f", "200", "g", "e", "s", "x", ".2%",
                         "{loss}", "<9", "+d", ",", "0200000000d", "c", "\n"])  # fmt: skip
PIECES = st.text("ab-_.", max_size=4) | st.text(max_size=2) | st.builds("{{{}:{}}}".format, FIELDS, FORMS)
TEMPLATES = st.lists(PIECES | st.builds("{{{}}}".format, FIELDS), min_size=1, max_size=6).map("".join)


@given(TEMPLATES | st.text("{}epochlos.:02df!/", max_size=12), st.integers(1, MOST_EPOCHS), FLOATS)
@settings(max_examples=400)
def test_an_accepted_file_name_makes_a_plain_name_of_any_epoch_and_any_number(template, epoch, number):
    try:
        accepted = validate(ModelCheckpointSpec, {"filename": template}).filename
    except Refused:
        return
    names = dict.fromkeys(filename_fields(accepted), number)
    name = accepted.format(**{**names, "epoch": epoch})
    assert "/" not in name
    assert "\x00" not in name
    assert not name.startswith(".")
    assert 1 <= len(name.encode()) <= 200
    assert all(form is None or "{" not in form for _, _, form, _ in string.Formatter().parse(accepted))


@pytest.mark.parametrize(
    "template", ["model-{epoch:02d}-{val_accuracy:.2f}", "{epoch}", "m{epoch:d}", "best", "a_{val_loss:8.4f}.b", "auto"]
)
def test_plain_file_names_are_taken(template):
    assert validate(ModelCheckpointSpec, {"filename": template}).filename == template


@pytest.mark.parametrize(
    "template",
    ["{epoch.__class__}", "{epoch:0200000000d}", "{epoch!r}", "{epoch[0]}", "{0}", "{}", "{", "}", "{{epoch}}",
     "{epoch:{loss}}", "{epoch:.2f}", "{loss:d}", "{loss:.2%}", "o/../../x", "/etc/x", "..", ".x", "-rf", "a b", "a\n",
     "a\x00b", "a\\b", "ü", "m.keras", "m.h5", "", "x" * 129, "{loss:99}{loss:99}{loss:99}", "{val_loss:.9f}" * 5],
)  # fmt: skip
def test_file_names_that_reach_elsewhere_or_grow_are_refused(template):
    with pytest.raises(Refused) as caught:
        validate(ModelCheckpointSpec, {"filename": template})
    assert [problem.pointer for problem in caught.value.problems] == ["#/filename"]


# Which values are positive


@pytest.mark.parametrize(
    ("positive", "holds", "holds_not"),
    [
        ({"at_least": 6}, [6, 6.0, 7, True + 6], [5, 5.9, "6", -1]),
        ({"at_most": 0}, [0, -1, -0.5, False], [1, 0.1, "0"]),
        ({"at_most": 3}, [3, 2.5], [4, "x"]),
        ({"equals": "red"}, ["red"], ["Red", "", 1]),
        ({"equals": 0}, [0, 0.0, False], [1, "0", ""]),
        ({"one_of": ["a", 3]}, ["a", 3, 3.0], ["b", 4, "3"]),
    ],
)
def test_a_value_is_positive_by_the_one_rule_that_is_given(positive, holds, holds_not):
    rule = Positive.model_validate_json(json.dumps(positive))
    assert all(rule.holds(value) for value in holds)
    assert not any(rule.holds(value) for value in holds_not)


@pytest.mark.parametrize(
    "positive", [{}, {"at_least": None}, {"at_least": 1, "at_most": 2}, {"equals": 1, "one_of": [1]}]
)
def test_exactly_one_rule_says_what_is_positive(positive):
    with pytest.raises(Refused, match="exactly one of at_least, at_most, equals, one_of"):
        validate(JobSpec, spec("dataset/positive", positive))
