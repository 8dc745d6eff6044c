"""From what a client asked for to what will run: every "auto" filled in, everything judged against the data.

A spec that passes here names only columns that exist, a loss and metrics that fit the target, and monitors that the
run will have. Keras would only warn about a missing monitor, train to the last epoch and overwrite the "best" each
time.
"""

from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import TypeVar

from shared.dataset import Column, DatasetInfo
from shared.features import Encoding, count_features, encoding_of
from shared.problems import Problem, Refused, listed, nearest, pointer
from shared.spec import (
    MOST_PARAMETERS,
    Budget,
    Callbacks,
    EarlyStoppingSpec,
    Hyperparameters,
    JobSpec,
    Metric,
    ModelCheckpointSpec,
    ReduceLROnPlateauSpec,
    filename_fields,
)
from shared.task import (
    DEFAULT_METRICS,
    LOSSES,
    METRICS,
    MOST_CLASSES,
    Task,
    TaskKind,
    better_mode,
    log_names,
    task_of_column,
    task_of_loss,
)
from shared.times import seconds_until, utc_now

# One-hot columns of a text with more values than this would be an id in disguise.
MOST_CATEGORIES = 1000

_Monitoring = TypeVar("_Monitoring", ModelCheckpointSpec, ReduceLROnPlateauSpec, EarlyStoppingSpec)


@dataclass(frozen=True)
class Resolved:
    """A spec with nothing left open, what it means for the model, and what will run but hardly as it was meant."""

    spec: JobSpec
    task: Task
    warnings: tuple[str, ...]


def resolve(asked: JobSpec, data: DatasetInfo) -> Resolved:
    """Fill in and judge `asked` against the data that it names. Raises Refused with every problem at once."""
    return _Judge(asked, data).judged()


class _Judge:
    """Collects what is wrong, part by part, so that a client hears all of it in one answer."""

    def __init__(self, asked: JobSpec, data: DatasetInfo) -> None:
        self._asked = asked
        self._data = data
        self._problems: list[Problem] = []
        self._warnings: list[str] = []

    def judged(self) -> Resolved:
        target = self._target()
        self._check_columns()
        self._stop_at_problems()
        assert target is not None
        self._kind = self._task_kind(target)
        self._check_target(target)
        self._check_split(target)
        metrics = self._metrics()
        names = log_names(metrics)
        spec = self._asked.model_copy(
            update={
                "name": self._asked.name or self._asked.dataset.id,
                "hyperparameters": self._hyperparameters(metrics),
                "callbacks": self._callbacks(names),
                "budget": self._budget(),
            }
        )
        features = self._features(target)
        task = Task(
            kind=self._kind,
            classes=self._classes(target),
            features=features,
            parameters=self._parameters(features, target),
            log_names=names,
        )
        self._stop_at_problems()
        return Resolved(spec, task, tuple(self._warnings))

    def _problem(self, place: tuple[str | int, ...], detail: str, code: str) -> None:
        self._problems.append(Problem(pointer(*place), detail, code))

    def _stop_at_problems(self) -> None:
        if self._problems:
            raise Refused(self._problems)

    def _target(self) -> Column | None:
        name = self._asked.dataset.target
        target = self._data.column(name)
        if target is None:
            self._unknown_column(("dataset", "target"), name)
        elif name in self._asked.dataset.drop_columns:
            self._problem(
                ("dataset", "drop_columns"), f'"{name}" is the target and cannot be dropped', "target_dropped"
            )
        return target

    def _unknown_column(self, place: tuple[str | int, ...], name: str) -> None:
        names = self._data.column_names
        near = nearest(name, names)
        self._problem(place, f'received "{name}": no such column.{near} The data has {listed(names)}', "unknown_column")

    def _check_columns(self) -> None:
        wanted = self._asked.dataset
        for index, name in enumerate(wanted.drop_columns):
            if self._data.column(name) is None:
                self._unknown_column(("dataset", "drop_columns", index), name)
        if wanted.categorical != "auto":
            for index, name in enumerate(wanted.categorical):
                if self._data.column(name) is None:
                    self._unknown_column(("dataset", "categorical", index), name)
        if not self._inputs():
            self._problem(("dataset", "drop_columns"), "no column is left to learn from", "no_features")
        for column in self._inputs():
            self._check_input(column)

    def _check_input(self, column: Column) -> None:
        mend = f'add "{column.name}" to drop_columns'
        if column.distinct == 0:
            self._problem(("dataset", "drop_columns"), f'"{column.name}" holds no value at all; {mend}', "empty_column")
        elif self._encoding(column) == "one_hot" and column.distinct > MOST_CATEGORIES:
            detail = (
                f'"{column.name}" holds {column.distinct} different values, expected at most {MOST_CATEGORIES} where '
                f'each makes a feature; use "categorical_encoding": "target" or "hashing", or {mend}'
            )
            self._problem(("dataset", "drop_columns"), detail, "too_many_categories")

    def _inputs(self) -> list[Column]:
        left_out = {self._asked.dataset.target, *self._asked.dataset.drop_columns}
        return [column for column in self._data.columns if column.name not in left_out]

    def _encoding(self, column: Column) -> Encoding:
        return encoding_of(column, self._asked.dataset)

    def _task_kind(self, target: Column) -> TaskKind:
        if self._asked.dataset.positive is not None:
            return "binary"
        return task_of_loss(self._asked.hyperparameters.loss) or task_of_column(target)

    def _check_target(self, target: Column) -> None:
        place = ("dataset", "target")
        if target.distinct < 2:
            self._problem(
                place,
                f'"{target.name}" holds {target.distinct} different value; nothing can be learnt',
                "constant_target",
            )
        elif target.kind == "datetime":
            detail = f'"{target.name}" holds dates and times, expected numbers or classes'
            self._problem(place, detail, "not_numeric")
        elif self._asked.dataset.positive is not None:
            self._check_positive(target)
        elif self._kind == "binary" and target.distinct != 2:
            self._problem(
                place,
                f'"{target.name}" holds {target.distinct} different values, expected 2; say which are `positive`',
                "not_binary",
            )
        elif self._kind == "multiclass" and target.distinct > MOST_CLASSES:
            self._problem(
                place,
                f'"{target.name}" holds {target.distinct} different values, expected at most {MOST_CLASSES} classes',
                "too_many_classes",
            )
        elif self._kind == "regression" and target.kind == "text":
            self._problem(
                place,
                f'"{target.name}" holds text, expected numbers for {self._asked.hyperparameters.loss}',
                "not_numeric",
            )

    def _check_positive(self, target: Column) -> None:
        positive = self._asked.dataset.positive
        assert positive is not None
        if target.values is not None:
            sides = {positive.holds(one.value) for one in target.values}
        elif target.minimum is not None and target.maximum is not None:
            sides = {positive.holds(target.minimum), positive.holds(target.maximum)}
            if positive.equals is not None or positive.one_of is not None:
                sides = {True, False}  # known only when the data is read
        else:
            sides = {True, False}
        if len(sides) < 2:
            which = "every row" if True in sides else "no row"
            self._problem(
                ("dataset", "positive"),
                f'makes {which} of "{target.name}" positive; it holds {_span(target)}',
                "one_class",
            )

    def _check_split(self, target: Column) -> None:
        wanted = self._asked.dataset
        rows = self._usable_rows(target)
        validation = ceil(wanted.validation_fraction * rows)
        if validation < 1 or rows - validation < 1:
            detail = (
                f"received {wanted.validation_fraction:g}: of {rows} usable rows {rows - validation} are left to train "
                f"on and {validation} to validate on; both need one"
            )
            self._problem(("dataset", "validation_fraction"), detail, "empty_part")
        if wanted.stratify and self._kind == "regression":
            self._problem(
                ("dataset", "stratify"),
                "received true; a regression has no classes to keep in balance",
                "not_classes",
            )
        elif wanted.stratify:
            self._check_strata(target, min(validation, rows - validation))

    def _check_strata(self, target: Column, smaller_part: int) -> None:
        """Both parts need a row of each class, so that each class needs two."""
        classes = self._class_rows(target)
        place = ("dataset", "stratify")
        if 1 in classes:
            self._problem(place, f'received true; a class of "{target.name}" has one row only', "lone_class")
        elif 0 < smaller_part < len(classes):
            detail = f"received true; the smaller part has {smaller_part} rows for {len(classes)} classes"
            self._problem(place, detail, "too_few_rows")

    def _class_rows(self, target: Column) -> list[int]:
        """In how many rows each class stands; empty where only the data itself can tell."""
        positive = self._asked.dataset.positive
        if positive is None or target.values is None:
            return [one.rows for one in target.values or ()]
        held = sum(one.rows for one in target.values if positive.holds(one.value))
        return [held, sum(one.rows for one in target.values) - held]

    def _usable_rows(self, target: Column) -> int:
        """At most so many rows are left when those with a missing value are dropped."""
        used = [target] if self._asked.dataset.missing == "impute" else [target, *self._inputs()]
        return self._data.rows - max(column.missing for column in used)

    def _metrics(self) -> tuple[Metric, ...]:
        asked = self._asked.hyperparameters
        if asked.loss != "auto" and asked.loss not in LOSSES[self._kind]:
            detail = f'received "{asked.loss}"; a {self._kind} target takes {listed(LOSSES[self._kind])}'
            self._problem(("hyperparameters", "loss"), detail, "loss_does_not_fit")
        if asked.metrics == "auto":
            return DEFAULT_METRICS[self._kind]
        for index, metric in enumerate(asked.metrics):
            if metric not in METRICS[self._kind]:
                detail = f'received "{metric}"; a {self._kind} target takes {listed(METRICS[self._kind])}'
                self._problem(("hyperparameters", "metrics", index), detail, "metric_does_not_fit")
        if len(set(asked.metrics)) < len(asked.metrics):
            self._problem(("hyperparameters", "metrics"), "names a metric twice", "duplicate")
        return asked.metrics

    def _hyperparameters(self, metrics: tuple[Metric, ...]) -> Hyperparameters:
        asked = self._asked.hyperparameters
        rows = self._data.rows - ceil(self._asked.dataset.validation_fraction * self._data.rows)
        batch_size = min(asked.batch_size, max(1, rows))
        if batch_size < asked.batch_size:
            self._warnings.append(
                f"batch_size {asked.batch_size} is more than the {rows} training rows; {batch_size} is used"
            )
        if asked.class_weight and self._kind == "regression":
            detail = f'received "{asked.class_weight}"; a regression has no classes to balance'
            self._problem(("hyperparameters", "class_weight"), detail, "not_classes")
        loss = LOSSES[self._kind][0] if asked.loss == "auto" else asked.loss
        return asked.model_copy(update={"metrics": metrics, "loss": loss, "batch_size": batch_size})

    def _callbacks(self, names: tuple[str, ...]) -> Callbacks:
        asked = self._asked.callbacks
        checkpoint = self._monitoring(asked.model_checkpoint, "model_checkpoint", names)
        if checkpoint is not None:
            checkpoint = checkpoint.model_copy(update={"filename": self._filename(checkpoint, names)})
        reduce_lr = self._monitoring(asked.reduce_lr_on_plateau, "reduce_lr_on_plateau", names)
        stopping = self._monitoring(asked.early_stopping, "early_stopping", names)
        self._warn_of_idle_callbacks(reduce_lr, stopping)
        return asked.model_copy(
            update={
                "model_checkpoint": checkpoint,
                "reduce_lr_on_plateau": reduce_lr,
                "early_stopping": stopping,
            }
        )

    def _monitoring(self, asked: _Monitoring | None, field: str, names: tuple[str, ...]) -> _Monitoring | None:
        """The same callback with its monitor and mode filled in; a monitor that the run will not have is refused."""
        if asked is None:
            return None
        monitor = asked.monitor
        if monitor == "auto":
            monitor = "val_accuracy" if "val_accuracy" in names else "val_loss"
        if monitor not in names:
            detail = (
                f'received "{monitor}": the run will not have it.{nearest(monitor, names)} It will have {listed(names)}'
            )
            self._problem(("callbacks", field, "monitor"), detail, "unknown_monitor")
            return asked
        mode = better_mode(monitor)
        if asked.mode not in {"auto", mode}:
            better = "greater" if mode == "max" else "smaller"
            detail = f'received "{asked.mode}"; {monitor} is better the {better} it is: "{mode}"'
            self._problem(("callbacks", field, "mode"), detail, "wrong_mode")
        return asked.model_copy(update={"monitor": monitor, "mode": mode})

    def _filename(self, checkpoint: ModelCheckpointSpec, names: tuple[str, ...]) -> str:
        if checkpoint.filename == "auto":
            places = 2 if checkpoint.mode == "max" else 4
            return f"model-{{epoch:02d}}-{{{checkpoint.monitor}:.{places}f}}"
        for field in filename_fields(checkpoint.filename):
            if field != "epoch" and field not in names:
                near = nearest(field, names)
                detail = f'takes "{field}", which the run will not have.{near} It will have epoch, {listed(names)}'
                self._problem(("callbacks", "model_checkpoint", "filename"), detail, "unknown_field")
        return checkpoint.filename

    def _warn_of_idle_callbacks(
        self, reduce_lr: ReduceLROnPlateauSpec | None, stopping: EarlyStoppingSpec | None
    ) -> None:
        epochs = self._asked.hyperparameters.epochs
        rate = self._asked.hyperparameters.learning_rate
        if reduce_lr and reduce_lr.min_lr >= rate:
            self._warnings.append(
                f"min_lr {reduce_lr.min_lr:g} is not below learning_rate {rate:g}: it is never reduced"
            )
        if stopping and stopping.start_from_epoch + stopping.patience >= epochs:
            earliest = stopping.start_from_epoch + stopping.patience + 1
            self._warnings.append(f"early stopping cannot act before epoch {earliest} of {epochs}")
        if not (reduce_lr and stopping):
            return
        same = reduce_lr.monitor == stopping.monitor
        if reduce_lr.patience > stopping.patience or (same and reduce_lr.patience == stopping.patience):
            self._warnings.append(
                f"reduce_lr_on_plateau waits {reduce_lr.patience} epochs and early stopping {stopping.patience}: "
                "training may stop before the learning rate is ever reduced"
            )

    def _budget(self) -> Budget | None:
        """The same budget; None where it limits nothing."""
        asked = self._asked.budget
        if asked and asked.deadline and seconds_until(asked.deadline) <= 0:
            detail = f'received "{asked.deadline}", which has passed: it is {utc_now()} here'
            self._problem(("budget", "deadline"), detail, "passed")
        return None if asked == Budget() else asked

    def _features(self, target: Column) -> int:
        """The width of the model's input."""
        means = target.distinct if self._kind == "multiclass" else 1
        spec = self._asked.dataset
        return sum(count_features(column, spec, column.distinct, means) for column in self._inputs())

    def _parameters(self, features: int, target: Column) -> int:
        outputs = target.distinct if self._kind == "multiclass" else 1
        hidden = self._asked.model.layers
        widths = [features, *hidden, outputs]
        count = sum((before + 1) * after for before, after in pairwise(widths))
        if self._asked.model.batch_normalization:
            count += 4 * sum(hidden)  # gamma, beta, moving mean, moving variance
        if count > MOST_PARAMETERS:
            detail = f"makes {count} parameters of {features} features, expected at most {MOST_PARAMETERS}"
            self._problem(("model", "layers"), detail, "too_many_parameters")
        return count

    def _classes(self, target: Column) -> tuple[int | float | bool | str, ...] | None:
        if self._kind == "regression" or self._asked.dataset.positive is not None or target.values is None:
            return None
        return tuple(one.value for one in target.values)


def _span(column: Column) -> str:
    if column.values is not None:
        return listed([str(one.value) for one in column.values])
    return f"{column.minimum:g} to {column.maximum:g}" if column.minimum is not None else "texts"
