"""Checks of a table: its columns, its target, and the rows that are left in each part."""

from collections.abc import Sequence

from shared.dataset import Column, DatasetInfo
from shared.features import count_features, encoding_of
from shared.findings import Findings, Place, could_mean
from shared.problems import list_names, nearest
from shared.resolve.judged import Class, JudgedData, asked_kind
from shared.resolve.row_facts import DatasetRows, Parts, RowFacts, inputs_of, squares_fit_float32
from shared.resolve.split import FRACTIONS, NO_THREE_PARTS, check_sizes, smallest_part
from shared.rows import FLOAT32_MAX, part_sizes
from shared.spec import JobSpec, TableSpec
from shared.task import MOST_CATEGORIES, MOST_CLASSES, TaskKind, task_of_column

# A smaller share of dropped rows is usual for a table, and causes no warning.
_FEW_DROPPED = 0.05
_MOST_BLAMED = 5
_SQUARED = {"mean_squared_error", "huber", "mse", "rmse", "r2"}


class TableJudge:
    """Checks a spec against its dataset. Without `rows`, only the profiles of the columns are known."""

    def __init__(
        self, asked: JobSpec, wanted: TableSpec, data: DatasetInfo, rows: DatasetRows | None, found: Findings
    ) -> None:
        self._asked = asked
        self._wanted = wanted
        self._data = data
        self._rows = rows
        self._found = found

    def judged(self) -> JudgedData:
        """Report every problem of the data and of its part of the spec."""
        target = self._target()
        self._check_columns()
        kind = asked_kind(self._asked, self._found)
        if target is None:
            return JudgedData(self._wanted, kind)
        facts = self._facts(target, kind)
        has_rows = facts is not None and self._check_left(facts)
        if facts is not None and has_rows:
            target = facts.target
        if kind is None and self._found.is_sure("dataset/positive", "hyperparameters/loss"):
            kind = task_of_column(target)
        is_learnable = self._check_target(target, kind, facts)
        if is_learnable and facts is not None and has_rows:
            self._check_split(facts, kind)
            if kind != "regression" and self._wanted.positive is None:
                self._warn_of_lost_classes(target)
        if not is_learnable and self._wanted.positive is None:
            kind = None  # the target or the loss is wrong
        features = self._features(facts.parts if facts else None, target, kind)
        return JudgedData(
            self._wanted,
            kind,
            classes=class_values(kind, target) if kind and self._wanted.positive is None else None,
            outputs=target.distinct if kind == "multiclass" else 1,
            inputs={"rows": (features,)} if features else {},
            features=features,
            training_rows=self._training_rows(facts),
        )

    # Columns

    def _target(self) -> Column | None:
        """The column of the target; None if it is not known."""
        if not self._found.is_sure("dataset/target"):
            return None
        name = self._wanted.target
        target = self._data.column(name)
        if target is None:
            self._unknown_column(("dataset", "target"), name)
            self._found.doubt("dataset/target")
        elif name in self._wanted.drop_columns:
            detail = f'"{name}" is the target and cannot be dropped'
            self._found.problem(("dataset", "drop_columns"), detail, "target_dropped")
        return target

    def _unknown_column(self, place: Place, name: str) -> None:
        names = self._data.column_names
        detail = f'received "{name}": no such column.{nearest(name, names)} The data has {list_names(names)}'
        self._found.problem(place, detail, "unknown_column")

    def _check_columns(self) -> None:
        names = set(self._data.column_names)
        unknown = [name for name in self._wanted.drop_columns if name not in names]
        for index, name in enumerate(self._wanted.drop_columns):
            if name not in names:
                self._unknown_column(("dataset", "drop_columns", index), name)
        for index, name in enumerate(() if self._wanted.categorical == "auto" else self._wanted.categorical):
            if name not in names:
                self._unknown_column(("dataset", "categorical", index), name)
                self._found.doubt("dataset/categorical")
        inputs = inputs_of(self._wanted, self._data)
        if not inputs:
            self._found.problem(("dataset", "drop_columns"), "no input column is left", "no_features")
        self._check_inputs(inputs, self._possibly_dropped(unknown))
        if unknown:
            self._found.doubt("dataset/drop_columns")

    def _possibly_dropped(self, unknown: Sequence[str]) -> set[str]:
        """The columns that may no longer be inputs once the other problems are fixed."""
        if not self._found.is_sure("dataset/target", "dataset/drop_columns"):
            return set(self._data.column_names)
        return could_mean(unknown, self._data.column_names)

    def _check_inputs(self, inputs: Sequence[Column], left_out: set[str]) -> None:
        for column in inputs:
            if column.name not in left_out:
                self._check_input(column)

    def _check_input(self, column: Column) -> None:
        fix = f'add "{column.name}" to drop_columns'
        if column.distinct == 0:
            self._drop_problem(f'"{column.name}" has no values; {fix}', "empty_column")
        elif (
            encoding_of(column, self._wanted) == "one_hot"
            and column.distinct > MOST_CATEGORIES
            and self._found.is_sure("dataset/categorical_encoding")
            and (column.kind == "text" or self._found.is_sure("dataset/categorical"))
        ):
            detail = f'"{column.name}" holds {column.distinct} different values, expected at most {MOST_CATEGORIES}'
            advice = f'and each becomes a feature; use "categorical_encoding": "target" or "hashing", or {fix}'
            self._drop_problem(f"{detail} {advice}", "too_many_categories")

    def _drop_problem(self, detail: str, code: str) -> None:
        self._found.problem(("dataset", "drop_columns"), detail, code)

    # Rows

    def _facts(self, target: Column, kind: TaskKind | None) -> RowFacts | None:
        """The facts of the rows that are left; None if these are not certain, or the target is a datetime."""
        is_sure = self._found.is_sure("dataset/target", "dataset/drop_columns", "dataset/missing")
        if not is_sure or target.kind == "datetime":
            return None
        if self._rows is not None:
            return self._rows.facts(self._wanted, kind)
        used = [target] if self._wanted.missing == "impute" else [target, *inputs_of(self._wanted, self._data)]
        return RowFacts(self._data.rows - max(column.missing for column in used), target, None)

    def _training_rows(self, facts: RowFacts | None) -> int | None:
        wanted = self._wanted
        return part_sizes(facts.left, wanted.validation_fraction, wanted.test_fraction)[0] if facts else None

    def _check_left(self, facts: RowFacts) -> bool:
        """Whether rows to split are left. Warns of many dropped rows, with the columns that cause them."""
        dropped = self._data.rows - facts.left
        target = self._data.column(self._wanted.target)
        assert target is not None
        if dropped <= _FEW_DROPPED * self._data.rows:
            return True
        if dropped == target.missing:
            self._found.warn(
                f'{dropped} of {self._data.rows} rows have no value of the target "{target.name}" and are dropped, '
                f"{facts.left} remain"
            )
            return True
        advice = f'add columns to drop_columns, or use "missing": "impute". Missing: {self._missing_by_column()}'
        if facts.left < 2 and self._data.rows - target.missing >= 2:
            left = "no row has" if facts.left == 0 else f"{facts.left} of {self._data.rows} rows has"
            detail = f'received "drop": {left} a value in every column; {advice}'
            self._found.problem(("dataset", "missing"), detail, "no_rows_left")
            return False
        self._found.warn(
            f"{dropped} of {self._data.rows} rows have a missing value and are dropped, {facts.left} remain; "
            f"to keep more, {advice}"
        )
        return True

    def _missing_by_column(self) -> str:
        inputs = [one for one in inputs_of(self._wanted, self._data) if one.missing]
        worst = sorted(inputs, key=lambda one: -one.missing)
        return list_names([f'"{one.name}" in {one.missing} rows' for one in worst], _MOST_BLAMED)

    # The target

    def _check_target(self, target: Column, kind: TaskKind | None, facts: RowFacts | None) -> bool:
        """Report problems of the target. True if there is something to learn."""
        refusal = self._target_refusal(target, kind)
        if refusal is not None:
            detail, code = refusal
            self._found.problem(("dataset", "target"), f'"{target.name}" holds {detail}', code)
            return False
        if self._wanted.positive is not None:
            return self._check_positive(target, facts)
        if kind == "regression":
            self._check_range(target)
        return True

    def _target_refusal(self, target: Column, kind: TaskKind | None) -> tuple[str, str] | None:
        if target.distinct < 2:
            left = "" if target.missing or target == self._data.column(target.name) else " in the rows that are left"
            return f"{target.distinct} different value{left}; nothing can be learned", "constant_target"
        if target.kind == "datetime":
            return "dates and times, expected numbers or classes", "not_numeric"
        return self._task_refusal(target, kind) if self._wanted.positive is None else None

    def _task_refusal(self, target: Column, kind: TaskKind | None) -> tuple[str, str] | None:
        if kind == "binary" and target.distinct != 2:
            return f"{target.distinct} different values, expected 2; say which are `positive`", "not_binary"
        if kind == "multiclass" and target.distinct > MOST_CLASSES:
            return f"{target.distinct} different values, expected at most {MOST_CLASSES} classes", "too_many_classes"
        if kind == "regression" and target.kind == "text":
            return f"text, expected numbers for {self._asked.hyperparameters.loss_name}", "not_numeric"
        return None

    def _check_range(self, target: Column) -> None:
        """Report a quantity that is too large for float32, or for a squared error in float32."""
        asked = self._asked.hyperparameters
        names = {asked.loss_name, *(() if asked.metrics == "auto" else asked.metrics)}
        squared = names & _SQUARED or ({"mean_squared_error"} if "auto" in names else set())
        for number in (target.minimum or 0.0, target.maximum or 0.0):
            if abs(number) > FLOAT32_MAX or (squared and not squares_fit_float32(number)):
                detail = (
                    f'"{target.name}" holds {number:g}, too large for training in float32; fix that value, '
                    "or scale the column before the upload"
                )
                self._found.problem(("dataset", "target"), detail, "beyond_float32")
                return

    def _check_positive(self, target: Column, facts: RowFacts | None) -> bool:
        positive = self._wanted.positive
        assert positive is not None
        if facts is not None and facts.parts is not None:
            sides = {number > 0 for number, rows in enumerate(facts.parts.class_rows) if rows}
        elif target.values is not None:
            sides = {positive.holds(one.value) for one in target.values}
        elif (
            target.minimum is not None
            and target.maximum is not None
            and positive.equals is None
            and positive.one_of is None
        ):
            sides = {positive.holds(target.minimum), positive.holds(target.maximum)}
        else:
            sides = {True, False}  # not known before the data is read
        if len(sides) < 2:
            which = "every row" if True in sides else "no row"
            detail = f'makes {which} of "{target.name}" positive; it holds {_span(target)}'
            self._found.problem(("dataset", "positive"), detail, "one_class")
        return len(sides) == 2

    def _warn_of_lost_classes(self, left: Column) -> None:
        """Warn of classes of which all rows are dropped."""
        whole = self._data.column(left.name)
        values = {one.value for one in left.values or ()}
        lost = [str(one.value) for one in (whole.values if whole else None) or () if one.value not in values]
        if values and lost:
            self._found.warn(
                f'no row is left of {len(lost)} of the classes of "{left.name}" ({list_names(lost, _MOST_BLAMED)}): '
                "each of their rows has a missing value; these classes are not trained"
            )

    # The parts

    def _check_split(self, facts: RowFacts, kind: TaskKind | None) -> None:
        wanted = self._wanted
        if wanted.stratify and kind == "regression":
            detail = "received true; a regression has no classes to stratify by"
            self._found.problem(("dataset", "stratify"), detail, "not_classes")
        if not self._found.is_sure(*FRACTIONS):
            return
        if not check_sizes(facts.left, wanted.validation_fraction, wanted.test_fraction, self._found, "usable "):
            return
        train, validation, _ = part_sizes(facts.left, wanted.validation_fraction, wanted.test_fraction)
        if wanted.stratify and kind in {"binary", "multiclass"}:
            self._check_strata(facts, smallest_part(wanted, facts.left))
        self._warn_of_single_rows(train, validation)
        if train == 1:
            self._check_means()
        if (
            facts.parts is not None
            and kind is not None
            and self._found.is_sure("dataset/split_seed", "dataset/stratify")
        ):
            self._check_parts(facts.target, facts.parts)

    def _check_strata(self, facts: RowFacts, smaller_part: int) -> None:
        """Check that each part can have a row of each class, for which each class needs two rows."""
        classes = self._class_rows(facts)
        place = ("dataset", "stratify")
        if 1 in classes:
            detail = f'received true; a class of "{facts.target.name}" has one row only{self._after_dropping(facts)}'
            self._found.problem(place, detail, "lone_class")
        elif 0 < smaller_part < len(classes):
            detail = f"received true; the smaller part has {smaller_part} rows for {len(classes)} classes"
            self._found.problem(place, detail, "too_few_rows")
        elif self._wanted.test_fraction is not None and self._rows is not None and facts.parts is None:
            self._found.problem(place, NO_THREE_PARTS, "too_few_rows")

    def _after_dropping(self, facts: RowFacts) -> str:
        dropped = self._data.rows - facts.left
        return f" after {dropped} rows with a missing value are dropped" if dropped else ""

    def _class_rows(self, facts: RowFacts) -> list[int]:
        """The number of rows of each class; empty if it is not known without the data."""
        target, positive = facts.target, self._wanted.positive
        if positive is None or target.values is None:
            return [one.rows for one in target.values or ()]
        held = sum(one.rows for one in target.values if positive.holds(one.value))
        return [held, sum(one.rows for one in target.values) - held]

    def _warn_of_single_rows(self, train: int, validation: int) -> None:
        for part, rows in (("training", train), ("validation", validation)):
            if rows == 1:
                self._found.warn(f"the {part} part has only one row; change validation_fraction")

    def _check_means(self) -> None:
        """Report target encoding, which takes the means of other training rows, if there is only one."""
        is_sure = self._found.is_sure("dataset/drop_columns", "dataset/categorical", "dataset/categorical_encoding")
        if is_sure and "target" in {encoding_of(one, self._wanted) for one in inputs_of(self._wanted, self._data)}:
            detail = 'received "target", which needs two training rows or more; use "one_hot" or "hashing"'
            self._found.problem(("dataset", "categorical_encoding"), detail, "too_few_rows")

    def _check_parts(self, target: Column, parts: Parts) -> None:
        if parts.train_class_rows:
            self._check_classes(target, parts)
        if self._found.is_sure("dataset/categorical", "dataset/scaling"):
            self._check_training_inputs(parts)

    def _check_classes(self, target: Column, parts: Parts) -> None:
        """Check that every class is in both parts: nothing is learned from or measured on a part with one class."""
        if parts.train_classes < 2:
            detail = f'the training part holds only one class of "{target.name}"; {self._stratify_advice(parts)}'
            self._found.problem(("dataset", "stratify"), detail, "one_class_in_training")
        elif 0 in parts.train_class_rows:
            self._warn_of_absent(target, "training", "the model cannot learn the other", parts.train_class_rows, parts)
        if sum(rows > 0 for rows in parts.validation_class_rows) < 2:
            self._found.warn(
                f'the validation part holds only one class of "{target.name}", so metrics such as val_auc mean '
                f"nothing; {self._stratify_advice(parts)}"
            )
        elif 0 in parts.validation_class_rows:
            self._warn_of_absent(target, "validation", "it is not measured", parts.validation_class_rows, parts)

    def _warn_of_absent(self, target: Column, part: str, effect: str, rows: Sequence[int], parts: Parts) -> None:
        absent = [name for name, held in zip(self._class_names(target), rows, strict=False) if not held]
        named = f" ({list_names(absent, _MOST_BLAMED)})" if absent else ""
        self._found.warn(
            f'the {part} part lacks {rows.count(0)} of {len(rows)} classes of "{target.name}"{named}: {effect}; '
            f"{self._stratify_advice(parts)}"
        )

    def _class_names(self, target: Column) -> list[str]:
        if self._wanted.positive is not None:
            return ["negative", "positive"]
        return [str(one.value) for one in target.values or ()]

    @staticmethod
    def _stratify_advice(parts: Parts) -> str:
        if min(parts.class_rows) < 2:
            return "more rows of the rare classes are needed"
        return 'use "stratify": true'

    def _check_training_inputs(self, parts: Parts) -> None:
        constant = [f'"{name}"' for name, count in parts.distinct.items() if count == 1]
        if constant:
            verb = "holds" if len(constant) == 1 else "hold"
            names = list_names(constant, _MOST_BLAMED)
            self._found.warn(f"{names} {verb} one value in all training rows, so the model learns nothing from it")
        for name in (name for name, count in parts.distinct.items() if count == 0):
            detail = f'"{name}" has no value in the training part; add "{name}" to drop_columns'
            self._drop_problem(detail, "empty_column")
        for name, number in parts.beyond_float32.items():
            detail = (
                f'"{name}" holds {number:g}, too large for float32; fix that value, or add "{name}" to drop_columns'
            )
            self._drop_problem(detail, "beyond_float32")

    # What the model gets

    def _features(self, parts: Parts | None, target: Column | None, kind: TaskKind | None) -> int | None:
        """The width of the model's input."""
        encoding = ("dataset/categorical", "dataset/categorical_encoding", "dataset/hashing_columns")
        if target is None or not self._found.is_sure("dataset/target", "dataset/drop_columns", *encoding):
            return None
        classes = parts.train_classes if parts else target.distinct
        means = classes if kind == "multiclass" and classes > 2 else 1
        distinct = parts.distinct if parts else {}
        return sum(
            count_features(column, self._wanted, distinct.get(column.name, column.distinct), means)
            for column in inputs_of(self._wanted, self._data)
        )


def class_values(kind: TaskKind, target: Column) -> tuple[Class, ...] | None:
    """The classes of the model in the order of its outputs; None if there are none or too many."""
    if kind == "regression" or target.values is None:
        return None
    return tuple(one.value for one in target.values)


def _span(column: Column) -> str:
    if column.values is not None:
        return list_names([str(one.value) for one in column.values])
    return f"{column.minimum:g} to {column.maximum:g}" if column.minimum is not None else "texts"
