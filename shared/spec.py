"""The spec of a job: what a client may ask for, with every default of the article's example.

Only `dataset.id` and `dataset.target` are required. Where a value says "auto" it follows from the target and is
filled in by `shared.resolve` before the job is stored, so that a stored spec says everything.
"""

import string
import unicodedata
from re import ASCII
from re import compile as pattern
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from shared.ids import DatasetId
from shared.times import format_time, parse_time

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
_JOINED = pattern("[\u200c\u200d]|\U0001f3f4[\U000e0020-\U000e007e]+\U000e007f")
_RFC_3339 = pattern(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", ASCII)


class Strict(BaseModel):
    """A frozen value from outside: no unknown fields, no "5" for 5, no NaN."""

    model_config = ConfigDict(
        strict=True, frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )


def _printable(text: str) -> str:
    """Refuse what would break a terminal, a log line or a file: control, format and surrogate characters.

    The two joiners are spelling in some scripts, and with the tags of a flag they make emoji: these are taken.
    """
    for position, character in enumerate(_JOINED.sub(lambda found: "_" * len(found.group()), text)):
        if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
            raise ValueError(f"character U+{ord(character):04X} at position {position} is not allowed; use plain text")
    return text


def _moment(text: str) -> str:
    """The moment in UTC."""
    try:
        if _RFC_3339.fullmatch(text):
            return format_time(parse_time(text.upper()))
    except (ValueError, OverflowError):
        pass
    raise ValueError("expected a moment with its zone (RFC 3339), such as 2027-01-31T06:00:00Z")


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
Moment = Annotated[str, Field(max_length=64, json_schema_extra={"format": "date-time"}), AfterValidator(_moment)]
Scalar = Annotated[int | float | bool | Text, Field(union_mode="smart")]


class Positive(Strict):
    """Which values of the target count as the positive class; exactly one of the four."""

    at_least: float | None = None
    """Numbers from this on are positive."""
    at_most: float | None = None
    """Numbers up to this are positive."""
    equals: Scalar | None = None
    """This value is positive."""
    one_of: tuple[Scalar, ...] | None = Field(default=None, min_length=1, max_length=1000)
    """These values are positive."""

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
    """The dataset, as it was uploaded."""
    target: Column
    """The column to predict."""
    positive: Positive | None = None
    """Which values of the target count as positive; without it the task follows from the target."""
    drop_columns: tuple[Column, ...] = Field(default=(), max_length=4096)
    """Columns that are not learnt from."""
    missing: Literal["drop", "impute"] = "drop"
    """Rows with a missing value are dropped, or the values are filled in: numbers with the median, categories with the
    most frequent one. Hashing sets no column for a missing value; target encoding takes it for a value of its own."""
    categorical: Literal["auto"] | tuple[Column, ...] = "auto"
    """Columns whose values are categories; "auto": all texts."""
    categorical_encoding: Literal["one_hot", "hashing", "target"] = "one_hot"
    """How categories are encoded: one column for each, a fixed number of columns by hash, or the mean of the target."""
    hashing_columns: int = Field(default=64, ge=2, le=4096)
    """The number of columns that each categorical column is hashed into."""
    validation_fraction: float = Field(default=0.2, gt=0, lt=1)
    """The part of the rows that is validated on."""
    stratify: bool = False
    """Whether both parts hold the classes in the same proportion."""
    split_seed: int = Field(default=42, ge=0, le=2**32 - 1)
    """Decides which rows are validated on."""
    scaling: Literal["standard", "minmax", "robust", "none"] = "standard"
    """How the inputs are scaled, learnt from the training part alone."""


class ModelSpec(Strict):
    """A dense network: the width of each hidden layer; the last layer follows from the target."""

    kind: Literal["dense"] = "dense"
    """The architecture."""
    layers: tuple[Annotated[int, Field(ge=1, le=65_536)], ...] = Field(
        default=(64, 64, 64), min_length=1, max_length=64
    )
    """The width of each hidden layer."""
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
    """Of each hidden layer."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """The part of each hidden layer that is left out while training."""
    batch_normalization: bool = False
    """Whether each hidden layer is followed by one."""


class Hyperparameters(Strict):
    """How the model is trained."""

    epochs: int = Field(default=1000, ge=1, le=MOST_EPOCHS)
    """At most so many."""
    batch_size: int = Field(default=32, ge=1, le=65_536)
    """Rows in one step."""
    optimizer: Literal["adam", "adamw", "nadam", "sgd", "rmsprop", "adagrad"] = "adam"
    """Keras's, with its defaults but for the rate."""
    learning_rate: float = Field(default=0.001, gt=0, le=100)
    """At the beginning."""
    loss: Loss = "auto"
    """What is made small; "auto" follows from the target."""
    metrics: Literal["auto"] | Annotated[tuple[Metric, ...], Field(max_length=8)] = "auto"
    """What is measured beside the loss; "auto" follows from the target."""
    seed: int = Field(default=42, ge=0, le=2**32 - 1)
    """Decides the first weights, the order of the rows and the dropout."""
    class_weight: Literal["balanced"] | None = None
    """With "balanced" each class counts for as much as any other in the loss."""
    engine: Literal["auto", "fused", "stock"] = "auto"
    """How the epochs are computed: many steps in one call, or Keras's own loop; "auto" takes the first that works."""
    xla: Literal["auto"] | bool = "auto"
    """Whether XLA compiles, whose order of float operations is another; "auto": where enough steps pay for it."""
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    """Keras's dtype policy."""

    @property
    def chosen_metrics(self) -> tuple[Metric, ...]:
        """The metrics of a spec with nothing left open."""
        if self.metrics == "auto":
            raise ValueError("the spec has not been resolved")
        return self.metrics


class ModelCheckpointSpec(Strict):
    """Which epochs' models are kept."""

    monitor: Monitor = "auto"
    """What decides which model is best."""
    mode: Mode = "auto"
    """Whether less or more of it is better; "auto" knows."""
    save_best_only: bool = True
    """Whether only a model that is the best so far is saved."""
    filename: Filename = "auto"
    """A template of the file's name without its ending, such as model-{epoch:02d}-{val_loss:.4f}."""
    format: Literal["keras", "h5"] = "keras"
    """The file's format and ending."""
    keep: int = Field(default=5, ge=1, le=1000)
    """The best so many are kept."""


class ReduceLROnPlateauSpec(Strict):
    """When the learning rate is multiplied by `factor`."""

    monitor: Monitor = "val_loss"
    """What has to improve."""
    mode: Mode = "auto"
    """Whether less or more of it is better; "auto" knows."""
    factor: float = Field(default=0.1, gt=0, lt=1)
    """What the learning rate is multiplied by."""
    patience: int = Field(default=10, ge=1, le=MOST_EPOCHS)
    """After so many epochs without improvement."""
    min_delta: float = Field(default=0.0001, ge=0)
    """Less than this is no improvement."""
    cooldown: int = Field(default=0, ge=0, le=MOST_EPOCHS)
    """Epochs after a reduction in which nothing is counted."""
    min_lr: float = Field(default=0.00001, ge=0)
    """The learning rate is never reduced below this."""


class EarlyStoppingSpec(Strict):
    """When training stops because nothing is learnt any more."""

    monitor: Monitor = "auto"
    """What has to improve."""
    mode: Mode = "auto"
    """Whether less or more of it is better; "auto" knows."""
    min_delta: float = Field(default=0.001, ge=0)
    """Less than this is no improvement."""
    patience: int = Field(default=10, ge=1, le=MOST_EPOCHS)
    """Training stops after so many epochs without improvement."""
    start_from_epoch: int = Field(default=0, ge=0, le=MOST_EPOCHS)
    """Epochs before this one are not counted."""


class CSVLoggerSpec(Strict):
    """The form of `training_log.csv`."""

    separator: Literal[",", ";", "\t", "|"] = ","
    """What stands between two cells."""


class Callbacks(Strict):
    """The article's four; null switches one off."""

    model_checkpoint: ModelCheckpointSpec | None = ModelCheckpointSpec()
    """Which models are kept; null: none."""
    reduce_lr_on_plateau: ReduceLROnPlateauSpec | None = ReduceLROnPlateauSpec()
    """When the learning rate is reduced; null: never."""
    early_stopping: EarlyStoppingSpec | None = EarlyStoppingSpec()
    """When training stops early; null: never."""
    csv_logger: CSVLoggerSpec | None = CSVLoggerSpec()
    """The form of training_log.csv; null: there is none."""


class Budget(Strict):
    """What a job may use up. It ends in time to keep what it has learnt; where a limit is null there is none."""

    max_gpu_seconds: float | None = Field(default=None, gt=0)
    """So long may its attempts hold a GPU, all of them together; the time in the queue is not counted."""
    max_cost: float | None = Field(default=None, gt=0)
    """So much may that time cost, in the currency of its workers, which have to know their price."""
    deadline: Moment | None = None
    """It ends before this moment."""


class JobSpec(Strict):
    """Everything that a client may say about a job."""

    name: Annotated[Text, Field(min_length=1, max_length=128)] | None = None
    """For people; the dataset's id where it is left out."""
    priority: int = Field(default=5, ge=0, le=9)
    """0 is served first."""
    dataset: DatasetSpec
    """What to learn from."""
    model: ModelSpec = ModelSpec()
    """What is to learn."""
    hyperparameters: Hyperparameters = Hyperparameters()
    """How it learns."""
    callbacks: Callbacks = Callbacks()
    """What is kept, and when it ends."""
    budget: Budget | None = None
    """What it may use up; null: there is no limit."""
    metadata: dict[Annotated[Text, Field(min_length=1, max_length=64)], Annotated[Text, Field(max_length=512)]] = Field(
        default_factory=dict, max_length=16
    )
    """Names and values of your own, to find the job by."""
