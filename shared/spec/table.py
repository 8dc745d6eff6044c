"""A job's table, and how its rows are prepared."""

from typing import Literal

from pydantic import Field, model_validator

from shared.ids import DatasetId
from shared.spec.base import Column, Scalar, Strict


class Positive(Strict):
    """Values of the target that form the positive class. Exactly one of the four fields is given."""

    at_least: float | None = None
    """Minimum of the numbers that are positive."""
    at_most: float | None = None
    """Maximum of the numbers that are positive."""
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


class TableSpec(Strict):
    """Table, target column and preprocessing."""

    kind: Literal["table"] = "table"
    """Kind of the dataset. Default: the kind of the dataset with that id."""
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
    test_fraction: float | None = Field(default=None, gt=0, lt=1)
    """Fraction of the rows kept aside to evaluate the best model: neither trained on nor validated on. null: none.
    validation_fraction is of the other rows."""
    stratify: bool = False
    """Whether the split is stratified: all parts have the same class proportions."""
    split_seed: int = Field(default=42, ge=0, le=2**32 - 1)
    """Seed of the splits."""
    scaling: Literal["standard", "minmax", "robust", "none"] = "standard"
    """Scaling of the inputs, fitted on the training rows only."""
