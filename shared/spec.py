"""The spec of a job: what a client may ask for, with every default of the article's example.

Only `dataset.id` and `dataset.target` are required. Where a value says "auto" it follows from the target and is
filled in by `shared.resolve` before the job is stored, so that a stored spec says everything.
"""

import string
import unicodedata
from re import compile as pattern
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from shared.ids import DatasetId

MOST_EPOCHS = 100_000
MOST_PARAMETERS = 50_000_000

Mode = Literal["auto", "min", "max"]
Loss = Literal[
    "auto",
    "binary_crossentropy",
    "sparse_categorical_crossentropy",
    "mean_squared_error",
    "mean_absolute_error",
    "huber",
]
Metric = Literal["accuracy", "precision", "recall", "auc", "mae", "mse", "rmse", "r2"]

# Room for the ending and for what is written beside a file, in the 255 bytes that a name may have.
_LONGEST_FILENAME = 200

_FIELD_NAME = pattern(r"[a-z_][a-z0-9_]*")
_EPOCH_FORMAT = pattern(r"(0?[1-9])?d?")
_METRIC_FORMAT = pattern(r"(0?[1-9][0-9]?)?(\.[0-9])?[feg]?")
_FILENAME_TEXT = pattern(r"[A-Za-z0-9._-]*")


class Strict(BaseModel):
    """A frozen value from outside: no unknown fields, no "5" for 5, no NaN."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


def _printable(text: str) -> str:
    """Refuse what would break a terminal, a log line or a file: control, format and surrogate characters."""
    for position, character in enumerate(text):
        if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
            raise ValueError(f"character U+{ord(character):04X} at position {position} is not allowed; use plain text")
    return text


def _plain_filename(text: str) -> str:
    """Refuse every template but plain names with a plain width or precision: never attributes, never a path."""
    if text == "auto":
        return text
    for literal, field, form, conversion in _parsed(text):
        if not _FILENAME_TEXT.fullmatch(literal):
            raise ValueError(f'the text "{literal}" may only hold letters, digits, dot, underscore and hyphen')
        if field is None:
            continue
        plain = _EPOCH_FORMAT if field == "epoch" else _METRIC_FORMAT
        if not _FIELD_NAME.fullmatch(field) or conversion or not plain.fullmatch(form or ""):
            raise ValueError(f'the field "{field}" is not {{epoch:02d}}, {{val_loss:.4f}} or the like')
    if text.startswith((".", "-")) or text.endswith((".keras", ".h5")):
        raise ValueError("begins with a dot or a hyphen, or names the ending, which `format` decides")
    if _longest(text) > _LONGEST_FILENAME:
        raise ValueError(f"makes names of up to {_longest(text)} characters, expected at most {_LONGEST_FILENAME}")
    return text


def _longest(template: str) -> int:
    """How long a name the template makes at most: in the last epoch, of the longest 32-bit numbers."""
    widest = dict.fromkeys(filename_fields(template), -1.2345678901234567e38)
    return len(template.format(**{**widest, "epoch": MOST_EPOCHS}))


def _parsed(template: str) -> list[tuple[str, str | None, str | None, str | None]]:
    try:
        return list(string.Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"not a template: {error}") from None


def filename_fields(template: str) -> list[str]:
    """The names that a file name's template takes, such as `["epoch", "val_accuracy"]`."""
    return [field for _, field, _, _ in string.Formatter().parse(template) if field is not None]


Text = Annotated[str, AfterValidator(_printable)]
Column = Annotated[Text, Field(min_length=1, max_length=256)]
Filename = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_plain_filename)]
Monitor = Annotated[str, Field(min_length=1, max_length=64)]
Scalar = Annotated[int | float | bool | Text, Field(union_mode="smart")]


class Positive(Strict):
    """Which values of the target count as the positive class; exactly one of the four."""

    at_least: float | None = None
    at_most: float | None = None
    equals: Scalar | None = None
    one_of: tuple[Scalar, ...] | None = Field(default=None, min_length=1, max_length=1000)

    @model_validator(mode="after")
    def _exactly_one(self) -> "Positive":
        given = [name for name, value in self if value is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of at_least, at_most, equals, one_of")
        return self

    def holds(self, value: float | str) -> bool:
        """Whether `value`, a value of the target's column, counts as positive."""
        if self.equals is not None:
            return value == self.equals
        if self.one_of is not None:
            return value in self.one_of
        if isinstance(value, str):
            return False
        return value >= self.at_least if self.at_least is not None else value <= (self.at_most or 0.0)


class DatasetSpec(Strict):
    """Which data, which column is to be predicted, and how the data is made ready."""

    id: DatasetId
    target: Column
    positive: Positive | None = None
    drop_columns: tuple[Column, ...] = Field(default=(), max_length=4096)
    missing: Literal["drop", "impute"] = "drop"
    categorical: Literal["auto"] | tuple[Column, ...] = "auto"
    validation_fraction: float = Field(default=0.2, gt=0, lt=1)
    stratify: bool = False
    split_seed: int = Field(default=42, ge=0, le=2**32 - 1)
    scaling: Literal["standard", "minmax", "robust", "none"] = "standard"


class ModelSpec(Strict):
    """A dense network: the width of each hidden layer; the last layer follows from the target."""

    kind: Literal["dense"] = "dense"
    layers: tuple[Annotated[int, Field(ge=1, le=65_536)], ...] = Field(
        default=(64, 64, 64), min_length=1, max_length=64
    )
    activation: Literal[
        "relu",
        "elu",
        "selu",
        "gelu",
        "silu",
        "tanh",
        "sigmoid",
        "leaky_relu",
        "softplus",
        "softsign",
        "linear",
    ] = "relu"
    dropout: float = Field(default=0.0, ge=0, lt=1)
    batch_normalization: bool = False


class Hyperparameters(Strict):
    """How the model is trained.

    `engine`: how its epochs are computed; "auto" takes the fused engine, which does many steps in one call, and the
    stock one where that cannot be. `xla` compiles with XLA, whose order of float operations differs. `precision` is
    Keras's dtype policy. `class_weight` "balanced" lets each class count for as much as any other in the loss.
    """

    epochs: int = Field(default=1000, ge=1, le=MOST_EPOCHS)
    batch_size: int = Field(default=32, ge=1, le=65_536)
    optimizer: Literal["adam", "adamw", "nadam", "sgd", "rmsprop", "adagrad"] = "adam"
    learning_rate: float = Field(default=0.001, gt=0, le=100)
    loss: Loss = "auto"
    metrics: Literal["auto"] | Annotated[tuple[Metric, ...], Field(max_length=8)] = "auto"
    seed: int = Field(default=42, ge=0, le=2**32 - 1)
    class_weight: Literal["balanced"] | None = None
    engine: Literal["auto", "fused", "stock"] = "auto"
    xla: Literal["auto"] | bool = "auto"
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"

    @property
    def chosen_metrics(self) -> tuple[Metric, ...]:
        """The metrics of a spec with nothing left open."""
        if self.metrics == "auto":
            raise ValueError("the spec has not been resolved")
        return self.metrics


class ModelCheckpointSpec(Strict):
    """Which epochs' models are kept."""

    monitor: Monitor = "auto"
    mode: Mode = "auto"
    save_best_only: bool = True
    filename: Filename = "auto"
    format: Literal["keras", "h5"] = "keras"
    keep: int = Field(default=5, ge=1, le=1000)


class ReduceLROnPlateauSpec(Strict):
    """When the learning rate is multiplied by `factor`."""

    monitor: Monitor = "val_loss"
    mode: Mode = "auto"
    factor: float = Field(default=0.1, gt=0, lt=1)
    patience: int = Field(default=10, ge=1, le=MOST_EPOCHS)
    min_delta: float = Field(default=0.0001, ge=0)
    cooldown: int = Field(default=0, ge=0, le=MOST_EPOCHS)
    min_lr: float = Field(default=0.00001, ge=0)


class EarlyStoppingSpec(Strict):
    """When training stops because nothing is learnt any more."""

    monitor: Monitor = "auto"
    mode: Mode = "auto"
    min_delta: float = Field(default=0.001, ge=0)
    patience: int = Field(default=10, ge=1, le=MOST_EPOCHS)
    start_from_epoch: int = Field(default=0, ge=0, le=MOST_EPOCHS)


class CSVLoggerSpec(Strict):
    """The form of `training_log.csv`."""

    separator: Literal[",", ";", "\t", "|"] = ","


class Callbacks(Strict):
    """The article's four; null switches one off."""

    model_checkpoint: ModelCheckpointSpec | None = ModelCheckpointSpec()
    reduce_lr_on_plateau: ReduceLROnPlateauSpec | None = ReduceLROnPlateauSpec()
    early_stopping: EarlyStoppingSpec | None = EarlyStoppingSpec()
    csv_logger: CSVLoggerSpec | None = CSVLoggerSpec()


class JobSpec(Strict):
    """Everything that a client may say about a job."""

    name: Annotated[Text, Field(min_length=1, max_length=128)] | None = None
    priority: int = Field(default=5, ge=0, le=9)
    dataset: DatasetSpec
    model: ModelSpec = ModelSpec()
    hyperparameters: Hyperparameters = Hyperparameters()
    callbacks: Callbacks = Callbacks()
    metadata: dict[Annotated[Text, Field(min_length=1, max_length=64)], Annotated[Text, Field(max_length=512)]] = Field(
        default_factory=dict, max_length=16
    )
