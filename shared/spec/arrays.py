"""A job's arrays."""

from typing import Literal

from pydantic import Field

from shared.ids import DatasetId
from shared.spec.base import Strict


class ArraysSpec(Strict):
    """Arrays: one input `x` or several named ones, and the target `y`. They are trained on as they are."""

    kind: Literal["arrays"] = "arrays"
    """Kind of the dataset. Default: the kind of the dataset with that id."""
    id: DatasetId
    """Id of an uploaded dataset."""
    validation_fraction: float = Field(default=0.2, gt=0, lt=1)
    """Fraction of the rows used for validation, where the dataset has no validation part of its own."""
    test_fraction: float | None = Field(default=None, gt=0, lt=1)
    """Fraction of the rows kept aside to evaluate the best model: neither trained on nor validated on. null: none.
    validation_fraction is of the other rows."""
    stratify: bool = False
    """Whether the split is stratified: all parts have the same class proportions."""
    split_seed: int = Field(default=42, ge=0, le=2**32 - 1)
    """Seed of the splits."""
