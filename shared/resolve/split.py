"""The judgement of a split: whether both parts have rows, and of each class."""

from collections.abc import Sequence

from shared.findings import Findings
from shared.rows import part_sizes
from shared.spec import ArraysSpec, ImagesSpec


def judge_split(spec: ImagesSpec | ArraysSpec, rows: int, class_rows: Sequence[int] | None, found: Findings) -> int:
    """Report what is wrong with the split of `rows` rows; the number of rows in the training part.

    `class_rows` counts the rows of each class, None where there are no classes or they are not known.
    """
    train, validation = part_sizes(rows, spec.validation_fraction)
    if not found.is_sure("dataset/validation_fraction"):
        return train
    if train < 1 or validation < 1:
        detail = (
            f"received {spec.validation_fraction:g}: of {rows} rows {train} are left to train on and {validation} to "
            "validate on; both need one"
        )
        found.problem(("dataset", "validation_fraction"), detail, "empty_part")
    elif spec.stratify and class_rows is not None:
        held = [count for count in class_rows if count]
        if 1 in held:
            found.problem(("dataset", "stratify"), "received true; a class has one row only", "lone_class")
        elif min(train, validation) < len(held):
            smaller = min(train, validation)
            detail = f"received true; the smaller part has {smaller} rows for {len(held)} classes"
            found.problem(("dataset", "stratify"), detail, "too_few_rows")
    return train
