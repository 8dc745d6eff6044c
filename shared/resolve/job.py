"""Turn a client's spec into the spec that runs: fill in every "auto", and check everything against the data.

A spec that passes names only columns that exist, a loss and metrics that fit the target, and monitors that the run
logs. Keras would only warn about a missing monitor, train to the last epoch and overwrite the "best" model each time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar, get_args

from shared.aliases import meant_log_name
from shared.column_names import use_own_names
from shared.dataset import DatasetInfo
from shared.earlier_model import EarlierModel
from shared.findings import NO_FAULTS, Faults, Findings, Place
from shared.problems import Problem, did_you_mean, list_names, nearest
from shared.resolve.arrays import judge_arrays
from shared.resolve.earlier import judge_earlier, of_earlier, take_preparation
from shared.resolve.images import judge_images
from shared.resolve.judged import JudgedData, asked_kind
from shared.resolve.memory import MemoryLimits, judge_memory
from shared.resolve.model import judge_model
from shared.resolve.row_facts import DatasetRows
from shared.resolve.table import TableJudge
from shared.spec import (
    ArraysSpec,
    Budget,
    Callbacks,
    EarlyStoppingSpec,
    Hyperparameters,
    ImagesSpec,
    JobSpec,
    Loss,
    LossSpec,
    Metric,
    ModelCheckpointSpec,
    ReduceLROnPlateauSpec,
    TableSpec,
    filename_fields,
)
from shared.task import (
    DEFAULT_METRICS,
    LOSSES,
    METRICS,
    Task,
    TaskKind,
    better_mode,
    is_between_0_and_1,
    log_names,
    losses_of,
)
from shared.times import seconds_until, utc_now

_Monitoring = TypeVar("_Monitoring", ModelCheckpointSpec, ReduceLROnPlateauSpec, EarlyStoppingSpec)


@dataclass(frozen=True)
class Resolved:
    """A spec without "auto", the task of its model, and warnings about what is probably not intended."""

    spec: JobSpec
    task: Task
    warnings: tuple[str, ...]


def resolve(  # noqa: PLR0913  one for each thing that it is checked against
    asked: JobSpec,
    data: DatasetInfo,
    rows: DatasetRows | None = None,
    faults: Faults = NO_FAULTS,
    memory: MemoryLimits | None = None,
    *,
    earlier: EarlierModel | None = None,
) -> Resolved:
    """Fill in and check `asked` against the data that it names. Raises Refused with every problem at once.

    With `rows`, the training and validation rows are checked, without them only the profiles of the columns. `faults`
    are those of the document that `asked` was read from. Without `memory`, no limit of memory is checked. `earlier` is
    the model of an earlier job that `asked` starts from; without it, nothing about that model is checked.
    """
    given, found = asked.dataset.model_fields_set, Findings(faults)
    if isinstance(asked.dataset, TableSpec):
        asked = asked.model_copy(update={"dataset": use_own_names(asked.dataset, data)})
    if earlier is not None:
        asked = take_preparation(asked, given, earlier, data, found)
    return _Judge(asked, found, earlier).resolved(data, rows, memory)


def problems_without_data(asked: JobSpec, faults: Faults = NO_FAULTS) -> tuple[Problem, ...]:
    """The problems of `asked` that do not depend on the content of its dataset."""
    judge = _Judge(asked, Findings(faults))
    judge.found.doubt("dataset")
    judge.judge(JudgedData(asked.dataset, asked_kind(asked, judge.found)))
    return judge.found.problems


class _Judge:
    """Collects the problems of all parts, so that a client gets all of them in one answer."""

    def __init__(self, asked: JobSpec, found: Findings, earlier: EarlierModel | None = None) -> None:
        self._asked = asked
        self._earlier = earlier
        self.found = found
        self._kind: TaskKind | None = None

    def resolved(self, data: DatasetInfo, rows: DatasetRows | None, memory: MemoryLimits | None) -> Resolved:
        judged = self._judge_data(data, rows)
        spec, names, parameters = self.judge(judged)
        if self._earlier is not None and self.found.is_sure("dataset"):
            judge_earlier(spec, self._earlier, judged, data, self.found)
        if memory is not None:
            judge_memory(spec, judged, memory, self.found)
        self.found.stop_at_problems()
        assert judged.kind is not None
        assert judged.features is not None
        task = Task(
            kind=judged.kind,
            classes=judged.classes,
            features=judged.features,
            parameters=parameters,
            log_names=names,
        )
        return Resolved(spec, task, tuple(self.found.warnings))

    def _judge_data(self, data: DatasetInfo, rows: DatasetRows | None) -> JudgedData:
        """Check the data as its kind requires."""
        asked, wanted = self._asked, self._asked.dataset
        if wanted.kind != data.kind:
            detail = f'received "{wanted.kind}"; the dataset "{data.id}" is of kind "{data.kind}"'
            self._problem(("dataset", "kind"), detail, "wrong_kind")
            self.found.doubt("dataset")
            return JudgedData(wanted, asked_kind(asked, self.found))
        if isinstance(wanted, ImagesSpec):
            return judge_images(asked, wanted, data, self.found)
        if isinstance(wanted, ArraysSpec):
            return judge_arrays(asked, wanted, data, self.found)
        judged = TableJudge(asked, wanted, data, rows, self.found).judged()
        return judged if self._earlier is None else of_earlier(judged, self._earlier)

    def judge(self, data: JudgedData) -> tuple[JobSpec, tuple[str, ...], int | None]:
        """Return the spec without "auto", the names in its logs, and the number of its model's parameters."""
        self._kind = data.kind
        metrics = self._metrics()
        names = self._log_names(metrics)
        spec = self._asked.model_copy(
            update={
                "name": self._asked.name or self._asked.dataset.id,
                "dataset": data.spec,
                "hyperparameters": self._hyperparameters(metrics, data.training_rows),
                "callbacks": self._callbacks(names),
                "budget": judge_budget(self._asked.budget, self.found),
            }
        )
        return spec, names, judge_model(self._asked.model, data, self.found)

    def _problem(self, place: Place, detail: str, code: str) -> None:
        self.found.problem(place, detail, code)

    def _metrics(self) -> tuple[Metric, ...]:
        asked, kind = self._asked.hyperparameters, self._kind
        if kind and asked.loss_name != "auto" and asked.loss_name not in LOSSES[kind]:
            detail = f'received "{asked.loss_name}"; a {kind} target takes {list_names(LOSSES[kind])}'
            self._problem(("hyperparameters", "loss"), detail, "loss_does_not_fit")
            # Either the loss or the setting that decides the task is wrong, and the metrics fit one of the two.
            kind = self._kind = None
        if asked.metrics == "auto":
            return DEFAULT_METRICS[kind] if kind else ()
        for index, metric in enumerate(asked.metrics):
            if kind and metric not in METRICS[kind]:
                detail = f'received "{metric}"; a {kind} target takes {list_names(METRICS[kind])}'
                self._problem(("hyperparameters", "metrics", index), detail, "metric_does_not_fit")
                self.found.doubt("hyperparameters/metrics")
        if len(set(asked.metrics)) < len(asked.metrics):
            self._problem(("hyperparameters", "metrics"), "names a metric twice", "duplicate")
        return asked.metrics

    def _log_names(self, metrics: tuple[Metric, ...]) -> tuple[str, ...]:
        """The names in the logs; if they are not certain, all possible names."""
        self._are_names_sure = self.found.is_sure("hyperparameters/metrics") and (
            self._kind is not None or self._asked.hyperparameters.metrics != "auto"
        )
        if not self._are_names_sure and self.found.is_sure("hyperparameters/metrics"):
            metrics = tuple(dict.fromkeys(name for metrics in DEFAULT_METRICS.values() for name in metrics))
        elif not self._are_names_sure:
            metrics = METRICS[self._kind] if self._kind else get_args(Metric)
        return log_names(metrics)

    def _hyperparameters(self, metrics: tuple[Metric, ...], training_rows: int | None) -> Hyperparameters:
        asked = self._asked.hyperparameters
        batch_size = asked.batch_size if training_rows is None else min(asked.batch_size, max(1, training_rows))
        if batch_size < asked.batch_size != Hyperparameters().batch_size:
            self.found.warn(
                f"batch_size {asked.batch_size} is more than the {training_rows} training rows; {batch_size} is used"
            )
        if asked.class_weight and self._kind == "regression":
            detail = f'received "{asked.class_weight}"; a regression has no classes to balance'
            self._problem(("hyperparameters", "class_weight"), detail, "not_classes")
        self._judge_devices(asked, batch_size)
        return asked.model_copy(update={"metrics": metrics, "loss": self._loss(), "batch_size": batch_size})

    def _judge_devices(self, asked: Hyperparameters, batch_size: int) -> None:
        """Check the settings for several devices: each batch is shared, on the stock engine and without XLA."""
        several = f"a job on {asked.devices} devices"
        if asked.devices > 1 and asked.engine == "fused":
            detail = f'received "fused"; {several} trains on the stock engine: use "auto" or "stock", or devices 1'
            self._problem(("hyperparameters", "engine"), detail, "one_device_only")
        if asked.devices > 1 and asked.xla is True:
            detail = f'received true; {several} is not compiled with XLA: use "auto" or false, or devices 1'
            self._problem(("hyperparameters", "xla"), detail, "one_device_only")
        if batch_size < asked.devices:
            rows = "batch_size" if batch_size == asked.batch_size else "the number of training rows"
            detail = (
                f"received {asked.devices}, expected at most {batch_size}, {rows}: each device trains on its share "
            )
            self._problem(("hyperparameters", "devices"), f"{detail}of a batch; use fewer devices", "too_many_devices")

    def _loss(self) -> Loss | LossSpec:
        asked, data = self._asked.hyperparameters, self._asked.dataset
        is_mixed = isinstance(data, ImagesSpec) and data.augment is not None and data.augment.mixup > 0
        if not self._kind:
            return asked.loss
        losses = losses_of(self._kind, is_mixed=is_mixed)
        if is_mixed and asked.loss_name not in ("auto", *losses):
            mixed = "mixup gives each image two classes: use " + " or ".join(losses)
            detail = f'received "{asked.loss_name}", which takes one class for each image; {mixed}'
            self._problem(("hyperparameters", "loss"), detail, "loss_does_not_fit")
        return losses[0] if asked.loss == "auto" else asked.loss

    def _callbacks(self, names: tuple[str, ...]) -> Callbacks:
        asked = self._with_one_rule_for_the_rate(self._asked.callbacks)
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

    def _with_one_rule_for_the_rate(self, asked: Callbacks) -> Callbacks:
        """Replace the default reduction on a plateau if there is a schedule; if both are given, report a problem."""
        schedule, epochs = asked.learning_rate_schedule, self._asked.hyperparameters.epochs
        if schedule is None:
            return asked
        if asked.reduce_lr_on_plateau and "reduce_lr_on_plateau" in asked.model_fields_set:
            detail = "cannot be used together with reduce_lr_on_plateau: give one of them, and null for the other"
            self._problem(("callbacks", "learning_rate_schedule"), detail, "two_rules")
        if schedule.decay_epochs == "auto":
            left = max(1, epochs - schedule.warmup_epochs)
            schedule = schedule.model_copy(update={"decay_epochs": left})
        if schedule.min_lr > self._asked.hyperparameters.learning_rate:
            detail = f"received {schedule.min_lr:g}, above learning_rate {self._asked.hyperparameters.learning_rate:g}"
            self._problem(("callbacks", "learning_rate_schedule", "min_lr"), detail, "above_learning_rate")
        return asked.model_copy(update={"learning_rate_schedule": schedule, "reduce_lr_on_plateau": None})

    def _monitoring(self, asked: _Monitoring | None, field: str, names: tuple[str, ...]) -> _Monitoring | None:
        """The callback with its monitor and mode filled in. A monitor that the run does not log is a problem."""
        if asked is None:
            return None
        monitor = asked.monitor
        if not self.found.is_sure(f"callbacks/{field}/monitor"):
            return asked
        if monitor == "auto":
            if not self._are_names_sure:
                return asked
            monitor = auto_monitor(names)
        if monitor not in names:
            meant = meant_log_name(monitor, names)
            near = did_you_mean(meant) if meant else nearest(monitor, names)
            will = "It logs" if self._are_names_sure else "A run can log"
            detail = f'received "{monitor}": this run does not log it.{near} {will} {list_names(names)}'
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
                detail = f'takes "{field}", which the run does not log.{near} It can use epoch, {list_names(names)}'
                self._problem(("callbacks", "model_checkpoint", "filename"), detail, "unknown_field")
        return checkpoint.filename

    def _warn_of_idle_callbacks(
        self, reduce_lr: ReduceLROnPlateauSpec | None, stopping: EarlyStoppingSpec | None
    ) -> None:
        epochs = self._asked.hyperparameters.epochs
        rate = self._asked.hyperparameters.learning_rate
        if reduce_lr and reduce_lr.min_lr >= rate:
            self.found.warn(f"min_lr {reduce_lr.min_lr:g} is not below learning_rate {rate:g}: it is never reduced")
        if stopping and stopping.start_from_epoch + stopping.patience >= epochs:
            earliest = stopping.start_from_epoch + stopping.patience + 1
            self.found.warn(f"early stopping cannot act before epoch {earliest} of {epochs}")
        self._warn_of_unreachable("reduce_lr_on_plateau", reduce_lr)
        self._warn_of_unreachable("early_stopping", stopping)
        if not (reduce_lr and stopping) or self._are_defaults(reduce_lr, stopping):
            return
        same = reduce_lr.monitor == stopping.monitor
        if reduce_lr.patience > stopping.patience or (same and reduce_lr.patience == stopping.patience):
            self.found.warn(
                f"reduce_lr_on_plateau waits {reduce_lr.patience} epochs and early stopping {stopping.patience}: "
                "training may stop before the learning rate is reduced"
            )

    def _warn_of_unreachable(self, field: str, rule: ReduceLROnPlateauSpec | EarlyStoppingSpec | None) -> None:
        """Warn of a min delta of 1 or more for a metric that is always between 0 and 1."""
        if rule is None or rule.min_delta < 1 or not is_between_0_and_1(rule.monitor):
            return
        effect = "the learning rate is reduced" if field == "reduce_lr_on_plateau" else "training stops"
        self.found.warn(
            f"{field}.min_delta {rule.min_delta:g} can never be reached: {rule.monitor} is between 0 and 1; "
            f"{effect} after {rule.patience} epochs even with a perfect model; expected less, such as 0.001"
        )

    def _are_defaults(self, reduce_lr: ReduceLROnPlateauSpec, stopping: EarlyStoppingSpec) -> bool:
        """Whether both callbacks have their default monitor and patience."""
        first, second = ReduceLROnPlateauSpec(), EarlyStoppingSpec()
        usual = (first.monitor, first.patience, auto_monitor(self._default_names()), second.patience)
        return usual == (reduce_lr.monitor, reduce_lr.patience, stopping.monitor, stopping.patience)

    def _default_names(self) -> tuple[str, ...]:
        return log_names(DEFAULT_METRICS[self._kind]) if self._kind else ()


def judge_budget(asked: Budget | None, found: Findings) -> Budget | None:
    """Report a deadline that has passed, and return the budget, None if it has no limits."""
    if asked and asked.deadline and seconds_until(asked.deadline) <= 0:
        detail = f'received "{asked.deadline}", which has passed: it is {utc_now()} here'
        found.problem(("budget", "deadline"), detail, "passed")
    return None if asked == Budget() else asked


def auto_monitor(names: Sequence[str]) -> str:
    """The monitor for "auto"."""
    return "val_accuracy" if "val_accuracy" in names else "val_loss"
