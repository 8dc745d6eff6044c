"""What is known of a dataset: `datasets/<id>/dataset.json`, written once when the data was taken in."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from shared.document import Document
from shared.ids import DatasetId

# A column of more values than this lists none of them.
MOST_LISTED_VALUES = 100

ColumnKind = Literal["integer", "float", "boolean", "text"]


class _Frozen(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class ValueCount(_Frozen):
    """One value of a column and in how many rows it stands."""

    value: int | float | bool | str
    rows: int


class Column(_Frozen):
    """One column: what it holds, and enough of its values to judge a target by.

    `missing` counts rows without a value; `distinct` counts different values among the others; `values` lists them,
    sorted, where there are at most MOST_LISTED_VALUES; `minimum`, `maximum` and `mean` are None for text.
    """

    name: str
    kind: ColumnKind
    missing: int
    distinct: int
    values: tuple[ValueCount, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None


class DatasetInfo(Document):
    """One dataset. `sha256` and `bytes` are those of what was uploaded, `data_sha256` that of `data.parquet`."""

    id: DatasetId
    created_at: str
    source_name: str | None
    source_format: Literal["csv", "parquet"]
    sha256: str
    bytes: int
    data_sha256: str
    rows: int
    columns: tuple[Column, ...]

    def column(self, name: str) -> Column | None:
        """The column of that name, or None."""
        return next((column for column in self.columns if column.name == name), None)

    @property
    def column_names(self) -> list[str]:
        """The columns' names, in the data's own order."""
        return [column.name for column in self.columns]
