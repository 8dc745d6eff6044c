"""What people type for a field or a value: a suggestion that is valid at its place, or the reason why none exists."""

import pytest

from shared.aliases import FIELDS, VALUES, WITHOUT_EQUIVALENT, meant_log_name, meant_value
from shared.problems import Refused
from shared.spec import JobSpec
from shared.task import log_names
from shared.validation import _field_paths, schema_of, validate
from tests.unit.shared.records import spec


def detail_of(path, value=1):
    with pytest.raises(Refused) as caught:
        validate(JobSpec, spec(path, value))
    return {problem.pointer: problem.detail for problem in caught.value.problems}["#/" + path]


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_that_is_suggested_exists(name):
    known = set(_field_paths(schema_of(JobSpec), schema_of(JobSpec)))
    assert set(FIELDS[name]) <= known


def test_every_value_that_is_suggested_is_one_of_a_fields():
    values = {"\t", ","} | {value for text in map(str, [JobSpec.model_json_schema()]) for value in text.split("'")}
    assert {value for meant in VALUES.values() for value in meant} <= values


def test_no_name_has_a_suggestion_and_a_reason_why_there_is_none():
    assert not set(FIELDS) & set(WITHOUT_EQUIVALENT)


@pytest.mark.parametrize(
    ("path", "suggestion"),
    [
        ("hyperparameters/lr", "learning_rate"),
        ("lr", "hyperparameters.learning_rate"),
        *[
            (f"hyperparameters/{name}", "epochs")
            for name in ("num_epochs", "n_epochs", "max_epochs", "nb_epoch", "epoch")
        ],
        *[(f"hyperparameters/{name}", "batch_size") for name in ("batch", "bs", "batchSize", "batch-size")],
        ("batch", "hyperparameters.batch_size"),
        ("epochs", "hyperparameters.epochs"),
        ("hyperparameters/random_state", "seed"),
        ("dataset/random_state", "split_seed"),
        ("dataset/dropp", "drop_columns"),
        ("dataset/test_size", "validation_fraction"),
        ("hyperparameters/validation_split", "dataset.validation_fraction"),
        ("dataset/y", "target"),
        ("model/units", "layers"),
        ("model/hidden_layer_sizes", "layers"),
        ("hyperparameters/hidden_layer_sizes", "model.layers"),
        ("model/dropout_rate", "dropout"),
        ("callbacks/early_stopping/epsilon", "min_delta"),
        ("callbacks/reduce_lr_on_plateau/epsilon", "min_delta"),
        ("callbacks/reduce_lr_on_plateau/eta_min", "min_lr"),
        ("callbacks/EarlyStopping", "early_stopping"),
        ("callbacks/ReduceLROnPlateau", "reduce_lr_on_plateau"),
        ("early_stopping", "callbacks.early_stopping"),
        ("callbacks/model_checkpoint/filepath", "filename"),
        ("callbacks/early_stopping/min_lr", "callbacks.reduce_lr_on_plateau.min_lr"),
        ("callbacks/early_stopping/cooldown", "callbacks.reduce_lr_on_plateau.cooldown"),
        ("callbacks/early_stopping/factor", "callbacks.reduce_lr_on_plateau.factor"),
        ("callbacks/early_stopping/save_best_only", "callbacks.model_checkpoint.save_best_only"),
        ("patience", "callbacks.early_stopping.patience"),
        ("timeout", "budget.max_gpu_seconds"),
    ],
)
def test_a_name_of_another_library_leads_to_the_field_that_is_meant(path, suggestion):
    assert detail_of(path).startswith(f'unknown field. Did you mean "{suggestion}"? Known here: ')


@pytest.mark.parametrize(
    "path",
    [
        "callbacks/early_stopping/restore_best_weights",
        "hyperparameters/verbose",
        "verbose",
        "hyperparameters/accelerator",
    ],
)
def test_a_setting_that_has_no_equivalent_says_why(path):
    assert detail_of(path).startswith("unknown field. There is no such setting: ")


@pytest.mark.parametrize(
    ("path", "value", "suggestion"),
    [
        *[("hyperparameters/optimizer", value, value.lower()) for value in ("Adam", "SGD", "RMSprop", "AdamW")],
        *[
            ("hyperparameters/loss", value, "binary_crossentropy")
            for value in ("bce", "BinaryCrossentropy", "log_loss")
        ],
        *[("hyperparameters/loss", value, "mean_squared_error") for value in ("mse", "MSE", "MeanSquaredError")],
        ("hyperparameters/loss", "l1", "mean_absolute_error"),
        ("hyperparameters/loss", "cross_entropy", "sparse_categorical_crossentropy"),
        ("model/activation", "ReLU", "relu"),
        ("model/activation", "swish", "silu"),
        ("dataset/missing", "mean", "impute"),
        ("dataset/scaling", "StandardScaler", "standard"),
        ("callbacks/early_stopping", {"mode": "maximize"}, "max"),
        ("hyperparameters/precision", "fp16", "mixed_float16"),
        ("hyperparameters/optimizer", "adm", "adam"),
    ],
)
def test_a_value_of_another_library_leads_to_the_value_that_is_meant(path, value, suggestion):
    if isinstance(value, dict):
        [(name, value)] = value.items()
        path = f"{path}/{name}"
    assert detail_of(path, value).endswith(f'. Did you mean "{suggestion}"?')


@pytest.mark.parametrize(("metric", "meant"), [("acc", "accuracy"), ("AUC", "auc"), ("roc_auc", "auc"), ("MAE", "mae")])
def test_a_metric_of_another_library_leads_to_the_metric_that_is_meant(metric, meant):
    with pytest.raises(Refused, match=f'Did you mean "{meant}"'):
        validate(JobSpec, spec("hyperparameters/metrics", [metric]))


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("val_acc", "val_accuracy"),
        ("acc", "accuracy"),
        ("validation_accuracy", "val_accuracy"),
        ("valid_loss", "val_loss"),
        ("val_binary_accuracy", "val_accuracy"),
        ("val_precision_score", "val_precision"),
        ("val_mae", None),
        ("nothing", None),
    ],
)
def test_a_monitor_of_another_library_leads_to_the_log_name_that_is_meant(typed, meant):
    assert meant_log_name(typed, log_names(("accuracy", "precision"))) == meant


def test_only_what_is_known_is_suggested():
    assert meant_value("mse", ["mean_squared_error"]) == "mean_squared_error"
    assert meant_value("mse", ["mse", "mae"]) == "mse"
    assert meant_value("mse", ["accuracy"]) is None
