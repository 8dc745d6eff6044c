"""The spec of a job, with every default of the article's example.

Only `dataset.id` and `dataset.target` are required. A value of "auto" follows from the target and is
replaced by `shared.resolve` before the job is stored, so that a stored spec says everything.
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
    raise ValueError("expected a time with a time zone (RFC 3339), such as 2027-01-31T06:00:00Z")


def _plain_filename(text: str) -> str:
    """Refuse every template but plain names with a plain width or precision: never attributes, never a path."""
    if text == "auto":
        return text
    for literal, field, form, conversion in _parsed(text):
        if not _FILENAME_TEXT.fullmatch(literal):
            raise ValueError(f'the text "{literal}" may only contain letters, digits, dot, underscore and hyphen')
        if field is None:
            continue
        plain = _EPOCH_FORMAT if field == "epoch" else _METRIC_FORMAT
        if not _FIELD_NAME.fullmatch(field) or conversion or not plain.fullmatch(form or ""):
            raise ValueError(f'the field "{field}" is not {{epoch:02d}}, {{val_loss:.4f}} or the like')
    if text.startswith((".", "-")) or text.endswith((".keras", ".h5")):
        raise ValueError("begins with a dot or a hyphen, or names the extension, which `format` decides")
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
    """Values of the target that form the positive class. Exactly one of the four fields is given."""

    at_least: float | None = None
    """Smallest number that is positive."""
    at_most: float | None = None
    """Largest number that is positive."""
    equals: Scalar | None = None
    """The only positive value."""
    one_of: tuple[Scalar, ...] | None = Field(default=None, min_length=1, max_length=1000)
    """List of the positive values."""

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
    """Dataset, target column and preprocessing."""

    id: DatasetId
    """Id of an uploaded dataset."""
    target: Column
    """Column to predict."""
    positive: Positive | None = None
    """Values of the target that form the positive class. Default: the task follows from the target."""
    drop_columns: tuple[Column, ...] = Field(default=(), max_length=4096)
    """Columns to exclude from the features."""
    missing: Literal["drop", "impute"] = "drop"
    """Drop rows with missing values, or impute the values: the median for numbers, the most frequent value for
    categories. Hashing sets no column for a missing value. Target encoding treats it as a separate category."""
    categorical: Literal["auto"] | tuple[Column, ...] = "auto"
    """Categorical columns. "auto" selects all text columns."""
    categorical_encoding: Literal["one_hot", "hashing", "target"] = "one_hot"
    """Encoding of categories: one-hot, hashing into a fixed number of columns, or target encoding (target mean)."""
    hashing_columns: int = Field(default=64, ge=2, le=4096)
    """Number of columns that each categorical column is hashed into."""
    validation_fraction: float = Field(default=0.2, gt=0, lt=1)
    """Fraction of the rows used for validation."""
    stratify: bool = False
    """Whether the split is stratified: both parts have the same class proportions."""
    split_seed: int = Field(default=42, ge=0, le=2**32 - 1)
    """Seed of the validation split."""
    scaling: Literal["standard", "minmax", "robust", "none"] = "standard"
    """Scaling of the inputs, fitted on the training rows only."""


class ModelSpec(Strict):
    """Dense network. The output layer follows from the target."""

    kind: Literal["dense"] = "dense"
    """Architecture of the model."""
    layers: tuple[Annotated[int, Field(ge=1, le=65_536)], ...] = Field(
        default=(64, 64, 64), min_length=1, max_length=64
    )
    """Number of units of each hidden layer."""
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
    """Activation function of the hidden layers."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout rate after each hidden layer: the fraction of units set to 0 during training."""
    batch_normalization: bool = False
    """Whether batch normalization follows each hidden layer."""


class Hyperparameters(Strict):
    """Hyperparameters of the training."""

    epochs: int = Field(default=1000, ge=1, le=MOST_EPOCHS)
    """Maximum number of epochs."""
    batch_size: int = Field(default=32, ge=1, le=65_536)
    """Number of rows per training step."""
    optimizer: Literal["adam", "adamw", "nadam", "sgd", "rmsprop", "adagrad"] = "adam"
    """Keras optimizer, with its defaults except for the learning rate."""
    learning_rate: float = Field(default=0.001, gt=0, le=100)
    """Initial learning rate."""
    loss: Loss = "auto"
    """Loss function to minimize. "auto" follows from the target."""
    metrics: Literal["auto"] | Annotated[tuple[Metric, ...], Field(max_length=8)] = "auto"
    """Metrics to compute in addition to the loss. "auto" follows from the target."""
    seed: int = Field(default=42, ge=0, le=2**32 - 1)
    """Seed of the initial weights, the order of the rows and the dropout."""
    class_weight: Literal["balanced"] | None = None
    """Class weights in the loss. "balanced" weights each class inversely to its frequency."""
    engine: Literal["auto", "fused", "stock"] = "auto"
    """Training loop: "fused" runs many steps in one call, "stock" is Keras's own. "auto": fused if possible."""
    xla: Literal["auto"] | bool = "auto"
    """Whether to compile with XLA, which may change rounding. "auto": if there are enough steps to repay compiling."""
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    """Dtype policy of Keras."""

    @property
    def chosen_metrics(self) -> tuple[Metric, ...]:
        """The metrics of a spec with nothing left open."""
        if self.metrics == "auto":
            raise ValueError("the spec has not been resolved")
        return self.metrics


class ModelCheckpointSpec(Strict):
    """Model checkpoints to save and keep."""

    monitor: Monitor = "auto"
    """Metric that decides which model is best."""
    mode: Mode = "auto"
    """Direction of improvement: "min", "max", or "auto" by the name of the metric."""
    save_best_only: bool = True
    """Whether to save a model only if it is the best so far."""
    filename: Filename = "auto"
    """Template of the file name without its extension, such as model-{epoch:02d}-{val_loss:.4f}."""
    format: Literal["keras", "h5"] = "keras"
    """File format and extension."""
    keep: int = Field(default=5, ge=1, le=1000)
    """Number of checkpoints to keep, best first."""


class ReduceLROnPlateauSpec(Strict):
    """Reduction of the learning rate when the monitored metric has stopped improving."""

    monitor: Monitor = "val_loss"
    """Metric to monitor."""
    mode: Mode = "auto"
    """Direction of improvement: "min", "max", or "auto" by the name of the metric."""
    factor: float = Field(default=0.1, gt=0, lt=1)
    """Factor by which the learning rate is multiplied."""
    patience: int = Field(default=10, ge=1, le=MOST_EPOCHS)
    """Number of epochs without improvement after which the learning rate is reduced."""
    min_delta: float = Field(default=0.0001, ge=0)
    """Minimum change that counts as an improvement (min delta)."""
    cooldown: int = Field(default=0, ge=0, le=MOST_EPOCHS)
    """Number of epochs to wait after a reduction before epochs count toward patience again."""
    min_lr: float = Field(default=0.00001, ge=0)
    """Lower bound on the learning rate."""


class EarlyStoppingSpec(Strict):
    """End of training when the monitored metric has stopped improving."""

    monitor: Monitor = "auto"
    """Metric to monitor."""
    mode: Mode = "auto"
    """Direction of improvement: "min", "max", or "auto" by the name of the metric."""
    min_delta: float = Field(default=0.001, ge=0)
    """Minimum change that counts as an improvement (min delta)."""
    patience: int = Field(default=10, ge=1, le=MOST_EPOCHS)
    """Number of epochs without improvement after which training stops."""
    start_from_epoch: int = Field(default=0, ge=0, le=MOST_EPOCHS)
    """Number of epochs to wait before monitoring starts."""


class CSVLoggerSpec(Strict):
    """Format of `training_log.csv`."""

    separator: Literal[",", ";", "\t", "|"] = ","
    """Separator between two values."""


class Callbacks(Strict):
    """The four callbacks; null disables one."""

    model_checkpoint: ModelCheckpointSpec | None = ModelCheckpointSpec()
    """Checkpoints to save; null: none."""
    reduce_lr_on_plateau: ReduceLROnPlateauSpec | None = ReduceLROnPlateauSpec()
    """Reduction of the learning rate on a plateau; null: never."""
    early_stopping: EarlyStoppingSpec | None = EarlyStoppingSpec()
    """Early stopping; null: never."""
    csv_logger: CSVLoggerSpec | None = CSVLoggerSpec()
    """Format of training_log.csv; null: no log file."""


class Budget(Strict):
    """Limits of a job. It stops early enough to save its model; null means no limit."""

    max_gpu_seconds: float | None = Field(default=None, gt=0)
    """Maximum compute time of all attempts together, in seconds. Time in the queue does not count."""
    max_cost: float | None = Field(default=None, gt=0)
    """Maximum cost of that time, in the currency of the workers. It requires workers with a price."""
    deadline: Moment | None = None
    """Time by which the job must end."""


class JobSpec(Strict):
    """Specification of a job."""

    name: Annotated[Text, Field(min_length=1, max_length=128)] | None = None
    """Display name. Default: the dataset's id."""
    priority: int = Field(default=5, ge=0, le=9)
    """Priority in the queue, from 0 (first) to 9 (last)."""
    dataset: DatasetSpec
    """Dataset and preprocessing."""
    model: ModelSpec = ModelSpec()
    """Model to train."""
    hyperparameters: Hyperparameters = Hyperparameters()
    """Hyperparameters of the training."""
    callbacks: Callbacks = Callbacks()
    """Callbacks of the training."""
    budget: Budget | None = None
    """Limits on time and cost; null: no limit."""
    metadata: dict[Annotated[Text, Field(min_length=1, max_length=64)], Annotated[Text, Field(max_length=512)]] = Field(
        default_factory=dict, max_length=16
    )
    """Names and values to find the job by."""
