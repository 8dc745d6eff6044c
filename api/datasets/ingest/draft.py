"""A table that is being read, with the problems and warnings that its readers have found."""

from dataclasses import dataclass, field

import pyarrow as pa

from shared.problems import Problem


@dataclass
class DraftColumn:
    """One column: its cells, the number of each mark of missing values, and the format of its datetimes."""

    name: str
    cells: pa.ChunkedArray
    missing_marks: dict[str, int] = field(default_factory=dict)
    datetime_format: str | None = None


@dataclass
class Draft:
    """The columns, the reasons to refuse them, the warnings, and the names of columns that were left out."""

    columns: list[DraftColumn]
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """The columns' names, in the file's order."""
        return [column.name for column in self.columns]

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.columns[0].cells) if self.columns else 0

    @property
    def table(self) -> pa.Table:
        """The columns as a table."""
        return pa.table([column.cells for column in self.columns], names=self.names)
