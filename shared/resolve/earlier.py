"""Checks of a model that starts from an earlier job's: its inputs, its columns, and whether its head is kept.

The training process repeats `model_misfits` and `column_misfits` before it builds the model.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from shared.dataset import DatasetInfo
from shared.earlier_model import Column, EarlierModel
from shared.features import encoding_of
from shared.findings import Findings, Place
from shared.keras_config import input_shapes
from shared.keras_head import Head
from shared.problems import list_names
from shared.resolve.judged import Class, JudgedData
from shared.resolve.model import mismatches
from shared.spec import DatasetSpec, ImagesSpec, JobSpec, TableSpec
from shared.task import TaskKind

# Settings that decide how the columns of a table become numbers.
_PREPARATION = ("missing", "categorical_encoding", "hashing_columns", "scaling")
_NUMBERS = frozenset({"integer", "float"})
_RANK_OF_IMAGE = 3
_MOST_NAMED = 5

JOB = ("model", "job")


@dataclass(frozen=True)
class Target:
    """What the model must predict: the task, its classes, and the number of outputs; None if unknown."""

    kind: TaskKind | None
    classes: tuple[Class, ...] | None
    outputs: int | None


@dataclass(frozen=True)
class Misfit:
    """Why the earlier model cannot be trained on the data."""

    place: Place
    detail: str
    code: str


def take_preparation(
    asked: JobSpec, given: Collection[str], earlier: EarlierModel, data: DatasetInfo, found: Findings
) -> JobSpec:
    """The spec with the preprocessing of the earlier job, except for the fields of the dataset that are `given`."""
    wanted, before = asked.dataset, earlier.record.data_spec.dataset
    if isinstance(wanted, ImagesSpec):
        taken = _image_preparation(earlier)
    elif isinstance(wanted, TableSpec) and isinstance(before, TableSpec):
        taken = _table_preparation(before, earlier, wanted.target, data)
        if "drop_columns" not in given and found.is_sure("dataset/target"):
            _warn_of_unread(taken["drop_columns"], found)
    else:
        return asked
    own = {name: value for name, value in taken.items() if name not in given}
    return asked.model_copy(update={"dataset": wanted.model_copy(update=own)})


def _table_preparation(before: TableSpec, earlier: EarlierModel, target: str, data: DatasetInfo) -> dict[str, Any]:
    """The preprocessing of the earlier job; every column that its model was not trained on is dropped."""
    needed = {one.name for one in earlier.columns or ()} | {target}
    chosen = before.categorical
    return {
        **{name: getattr(before, name) for name in _PREPARATION},
        "categorical": chosen if chosen == "auto" else tuple(one for one in chosen if one in needed - {target}),
        "drop_columns": tuple(name for name in data.column_names if name not in needed),
    }


def _image_preparation(earlier: EarlierModel) -> dict[str, Any]:
    """The size and channels that the model takes, and how its images were resized."""
    before, shapes = earlier.record.data_spec.dataset, list(input_shapes(earlier.config).values())
    taken: dict[str, Any] = {"resize": before.resize} if isinstance(before, ImagesSpec) else {}
    if len(shapes) == 1 and len(shapes[0]) == _RANK_OF_IMAGE and None not in shapes[0][:2]:
        height, width, channels = shapes[0]
        taken["size"] = (height, width)
        taken |= {"channels": channels} if channels in {1, 3} else {}
    return taken


def judge_earlier(asked: JobSpec, earlier: EarlierModel, data: JudgedData, info: DatasetInfo, found: Findings) -> None:
    """Report why the earlier model cannot be trained on the data."""
    target = Target(data.kind, data.classes, data.outputs)
    for one in [*column_misfits(earlier, data.spec, info), *model_misfits(earlier, asked, target, data.inputs)]:
        found.problem(one.place, one.detail, one.code)
    before = earlier.record.data_spec.dataset
    if before.kind != data.spec.kind and "table" not in {before.kind, data.spec.kind}:
        found.warn(
            f"the earlier model was trained on {before.kind} and gets {data.spec.kind}: their values must have the "
            "same range (pixels of images are numbers from 0 to 255)"
        )


def _warn_of_unread(dropped: Collection[str], found: Findings) -> None:
    if dropped:
        names = list_names([f'"{name}"' for name in dropped], _MOST_NAMED)
        found.warn(f"the earlier model was not trained on {names}: they are dropped")


def of_earlier(data: JudgedData, earlier: EarlierModel) -> JudgedData:
    """The data with the features of the earlier model if it is a table, which is prepared as for that model."""
    features = earlier.record.data_task.features
    return replace(data, features=features, inputs={"rows": (features,)}) if earlier.columns is not None else data


def model_misfits(
    earlier: EarlierModel, spec: JobSpec, target: Target, inputs: Mapping[str, tuple[int, ...]]
) -> list[Misfit]:
    """The reasons why the model does not take rows of these shapes, or cannot get the head that the target needs."""
    before = earlier.record.data_spec.dataset
    if "table" in {before.kind, spec.dataset.kind} and before.kind != spec.dataset.kind:
        trained_on = "a table" if before.kind == "table" else before.kind
        detail = f"its model was trained on {trained_on}; a model of a table is trained on tables only"
        return [Misfit(JOB, detail, "wrong_kind")]
    details = mismatches(input_shapes(earlier.config), inputs) if inputs else []
    found = [Misfit(JOB, f"its model cannot read the data: {one}", "wrong_shape") for one in details]
    if target.kind is not None:
        found += _head_misfits(earlier, spec, target)
    return found


def _head_misfits(earlier: EarlierModel, spec: JobSpec, target: Target) -> list[Misfit]:
    place = ("hyperparameters", "loss")
    gives_logits = _gives_logits(earlier.record.data_spec)
    if keeps_head(earlier, spec.dataset, target):
        if gives_logits == _gives_logits(spec):
            return []
        word = str(gives_logits).lower()
        detail = f'the head of the earlier model is kept, which was trained with "from_logits": {word}; give the same'
        return [Misfit(place, detail, "other_logits")]
    found = []
    if not isinstance(earlier.head, Head):
        detail = f"its classes or its target differ from those of the data, so it needs a new head; {earlier.head}"
        found.append(Misfit(JOB, detail, "no_head"))
    if _gives_logits(spec):
        detail = 'received "from_logits": true; the new head gives probabilities, expected false'
        found.append(Misfit(place, detail, "other_logits"))
    return found


def _gives_logits(spec: JobSpec) -> bool:
    loss = spec.hyperparameters.loss
    return not isinstance(loss, str) and bool(loss.from_logits)


def keeps_head(earlier: EarlierModel, dataset: DatasetSpec, target: Target) -> bool:
    """Whether the earlier model has the same task, classes, target and number of outputs."""
    before = earlier.record
    same = (before.data_task.kind, before.data_task.classes) == (target.kind, target.classes)
    units = earlier.head.units if isinstance(earlier.head, Head) else target.outputs
    return same and units == target.outputs and _target_of(before.data_spec.dataset) == _target_of(dataset)


def _target_of(dataset: DatasetSpec) -> tuple[object, ...]:
    return (dataset.target, dataset.positive) if isinstance(dataset, TableSpec) else ()


def column_misfits(earlier: EarlierModel, spec: DatasetSpec, data: DatasetInfo) -> list[Misfit]:
    """The differences between the columns of a table and those that the earlier model was trained on."""
    before = earlier.record.data_spec.dataset
    if earlier.columns is None or not isinstance(spec, TableSpec) or not isinstance(before, TableSpec):
        return []
    return [*_setting_misfits(before, spec), *_names_misfits(earlier.columns, spec, data)]


def _setting_misfits(before: TableSpec, spec: TableSpec) -> list[Misfit]:
    return [
        Misfit(
            ("dataset", name),
            f'received "{getattr(spec, name)}"; the earlier model was trained with "{getattr(before, name)}"',
            "other_preparation",
        )
        for name in _PREPARATION
        if getattr(before, name) != getattr(spec, name)
    ]


def _names_misfits(columns: Collection[Column], spec: TableSpec, data: DatasetInfo) -> list[Misfit]:
    found = []
    for one in columns:
        reason = _column_refusal(one, spec, data)
        if reason:
            detail = f'its model was trained on the column "{one.name}", {reason}'
            found.append(Misfit(JOB, detail, "other_columns"))
    needed = {one.name for one in columns}
    more = [name for name in data.column_names if name not in {*needed, spec.target, *spec.drop_columns}]
    if more:
        names = list_names([f'"{name}"' for name in more], _MOST_NAMED)
        detail = f"its model was not trained on {names}; add them to drop_columns, or leave drop_columns out"
        found.append(Misfit(("dataset", "drop_columns"), detail, "other_columns"))
    return found


def _column_refusal(one: Column, spec: TableSpec, data: DatasetInfo) -> str:
    """Why a column of the data cannot be read as the earlier one was; empty if it can."""
    column = data.column(one.name)
    if column is None:
        return "which the data does not have"
    if one.name == spec.target:
        return "which is now the target"
    if one.name in spec.drop_columns:
        return "which drop_columns names"
    if column.kind != one.kind and not {column.kind, one.kind} <= _NUMBERS:
        return f"which held {one.kind}; that of the data holds {column.kind}"
    # A boolean column is a category if it has missing values, else a number. Both are read as before.
    if column.kind == "boolean" or encoding_of(column, spec) == one.encoding:
        return ""
    return f"encoded as {one.encoding}; that of the data would be {encoding_of(column, spec)}: see `categorical`"
