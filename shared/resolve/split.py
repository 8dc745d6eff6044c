"""Checks of a split: whether each part has rows, and rows of each class."""

from collections.abc import Sequence

import numpy as np

from shared.findings import Findings
from shared.rows import CannotSplit, part_sizes, split_parts
from shared.spec import ArraysSpec, ImagesSpec, TableSpec

NO_THREE_PARTS = (
    "received true; after the test part is split off, a class has too few rows for the other two: use a smaller "
    "test_fraction, or more rows of the rare classes"
)
FRACTIONS = ("dataset/validation_fraction", "dataset/test_fraction")


def judge_split(  # noqa: PLR0913  one for each part that a dataset may have
    spec: ImagesSpec | ArraysSpec,
    rows: int,
    class_rows: Sequence[int] | None,
    found: Findings,
    *,
    has_validation: bool = False,
    has_test: bool = False,
) -> int:
    """Report problems of the split of `rows` rows, and return the number of training rows.

    `class_rows` counts the rows of each class; None if there are no classes or they are not known. The dataset may have
    its own validation or test part, which is then not split off.
    """
    for name, has_own in (("validation_fraction", has_validation), ("test_fraction", has_test)):
        if has_own and getattr(spec, name) != type(spec).model_fields[name].default:
            found.warn(f"{name} is not used: the dataset has a {name.partition('_')[0]} part of its own")
    validation_fraction = None if has_validation else spec.validation_fraction
    test_fraction = None if has_test else spec.test_fraction
    sizes = part_sizes(rows, validation_fraction, test_fraction)
    if validation_fraction is None and test_fraction is None:
        return rows
    is_whole = found.is_sure(*FRACTIONS) and check_sizes(rows, validation_fraction, test_fraction, found)
    if is_whole and spec.stratify and class_rows is not None:
        _judge_strata(spec, [count for count in class_rows if count], sizes, validation_fraction, found)
    return sizes[0]


def _judge_strata(
    spec: ImagesSpec | ArraysSpec,
    class_rows: Sequence[int],
    sizes: Sequence[int],
    validation_fraction: float | None,
    found: Findings,
) -> None:
    """Report a problem if some class cannot be in each part. `sizes` are the numbers of rows of the parts."""
    place, smaller = ("dataset", "stratify"), min(size for size in sizes if size)
    if 1 in class_rows:
        found.problem(place, "received true; a class has only one row", "lone_class")
    elif smaller < len(class_rows):
        detail = f"received true; the smaller part has {smaller} rows for {len(class_rows)} classes"
        found.problem(place, detail, "too_few_rows")
    elif sizes[2] and not _splits(spec, class_rows, validation_fraction):
        found.problem(place, NO_THREE_PARTS, "too_few_rows")


def _splits(spec: ImagesSpec | ArraysSpec, class_rows: Sequence[int], validation_fraction: float | None) -> bool:
    """Whether classes of these sizes can be split. The order of the rows does not matter for that."""
    strata = np.repeat(np.arange(len(class_rows)), class_rows)
    try:
        split_parts(len(strata), validation_fraction, spec.test_fraction, spec.split_seed, strata)
    except CannotSplit:
        return False
    return True


def check_sizes(
    rows: int, validation_fraction: float | None, test_fraction: float | None, found: Findings, usable: str = ""
) -> bool:
    """Report a part that would be empty. True if none is. `usable`: a word before "rows" in the message."""
    train, validation, test = part_sizes(rows, validation_fraction, test_fraction)
    uses = [f"{train} are left to train on"]
    uses += [f"{validation} to validate on"] if validation_fraction is not None else []
    uses += [f"{test} to test on"] if test_fraction is not None else []
    wanted = ((train, True), (validation, validation_fraction is not None), (test, test_fraction is not None))
    if all(size > 0 for size, is_wanted in wanted if is_wanted):
        return True
    name, value = (
        ("validation_fraction", validation_fraction) if test_fraction is None else ("test_fraction", test_fraction)
    )
    listed = f"{', '.join(uses[:-1])} and {uses[-1]}"
    each = "both need one" if len(uses) == 2 else "each needs one"
    found.problem(("dataset", name), f"received {value:g}: of {rows} {usable}rows {listed}; {each}", "empty_part")
    return False


def smallest_part(spec: TableSpec, rows: int) -> int:
    """The number of rows in the smallest part of a table."""
    return min(size for size in part_sizes(rows, spec.validation_fraction, spec.test_fraction) if size)
