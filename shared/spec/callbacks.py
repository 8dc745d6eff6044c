"""The callbacks of a training, as Keras has them."""

import string
from re import compile as pattern
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from shared.spec.base import MOST_EPOCHS, Mode, Monitor, Strict
from shared.spec.schedule import LearningRateScheduleSpec

# Room for the ending and for what is written beside a file, in the 255 bytes that a name may have.
_LONGEST_FILENAME = 200

_FIELD_NAME = pattern(r"[a-z_][a-z0-9_]*")
_EPOCH_FORMAT = pattern(r"(0?[1-9])?d?")
_METRIC_FORMAT = pattern(r"(0?[1-9][0-9]?)?(\.[0-9])?[feg]?")
_FILENAME_TEXT = pattern(r"[A-Za-z0-9._-]*")


def _plain_filename(text: str) -> str:
    """Refuse every template but plain names with a plain width or precision: never attributes, never a path."""
    if text == "auto":
        return text
    for literal, field, form, conversion in _parse(text):
        if not _FILENAME_TEXT.fullmatch(literal):
            raise ValueError(f'the text "{literal}" may only contain letters, digits, dot, underscore and hyphen')
        if field is None:
            continue
        plain = _EPOCH_FORMAT if field == "epoch" else _METRIC_FORMAT
        if not _FIELD_NAME.fullmatch(field) or conversion or not plain.fullmatch(form or ""):
            raise ValueError(f'the field "{field}" is not {{epoch:02d}}, {{val_loss:.4f}} or similar')
    if text.startswith((".", "-")) or text.endswith((".keras", ".h5")):
        raise ValueError("begins with a dot or a hyphen, or names the extension, which `format` decides")
    if _longest(text) > _LONGEST_FILENAME:
        raise ValueError(f"makes names of up to {_longest(text)} characters, expected at most {_LONGEST_FILENAME}")
    return text


def _longest(template: str) -> int:
    """How long a name the template makes at most: in the last epoch, of the longest 32-bit numbers."""
    widest = dict.fromkeys(filename_fields(template), -1.2345678901234567e38)
    return len(template.format(**{**widest, "epoch": MOST_EPOCHS}))


def _parse(template: str) -> list[tuple[str, str | None, str | None, str | None]]:
    try:
        return list(string.Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"not a template: {error}") from None


def filename_fields(template: str) -> list[str]:
    """The names that a file name's template takes, such as `["epoch", "val_accuracy"]`."""
    return [field for _, field, _, _ in string.Formatter().parse(template) if field is not None]


Filename = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_plain_filename)]


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
    """The four callbacks, and a learning-rate schedule; null disables one."""

    model_checkpoint: ModelCheckpointSpec | None = ModelCheckpointSpec()
    """Checkpoints to save; null: none."""
    reduce_lr_on_plateau: ReduceLROnPlateauSpec | None = ReduceLROnPlateauSpec()
    """Reduction of the learning rate on a plateau; null: never."""
    learning_rate_schedule: LearningRateScheduleSpec | None = None
    """Learning rate of each epoch by a formula, which disables reduce_lr_on_plateau; null: none."""
    early_stopping: EarlyStoppingSpec | None = EarlyStoppingSpec()
    """Early stopping; null: never."""
    csv_logger: CSVLoggerSpec | None = CSVLoggerSpec()
    """Format of training_log.csv; null: no log file."""
