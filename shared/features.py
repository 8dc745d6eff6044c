"""The number of features of each input column, computed when a job is posted and used in training."""

from typing import Literal

from shared.dataset import Column
from shared.spec import TableSpec

Encoding = Literal["number", "one_hot", "hashing", "target", "date"]

# Year, month, day, day of the week, hour, minute, and the age.
DATE_FEATURES = 7


def is_categorical(column: Column, spec: TableSpec) -> bool:
    """Whether the column's values are categories."""
    return column.kind == "text" or (spec.categorical != "auto" and column.name in spec.categorical)


def encoding_of(column: Column, spec: TableSpec) -> Encoding:
    """How the column is encoded for the model."""
    if is_categorical(column, spec):
        return spec.categorical_encoding
    if column.kind == "datetime":
        return "date"
    # There is no value between true and false that could fill a gap.
    return "one_hot" if column.kind == "boolean" and column.missing else "number"


def count_features(column: Column, spec: TableSpec, distinct: int, means: int) -> int:
    """The width of the column in the model's input.

    `distinct` counts its different values in the training part. `means` is the number of features by target encoding:
    one mean for each class if the target has more than two in the training part, else one.
    """
    encoding = encoding_of(column, spec)
    if encoding == "one_hot":
        return distinct if distinct > 2 else 1
    return {"number": 1, "date": DATE_FEATURES, "hashing": spec.hashing_columns, "target": means}[encoding]
