"""A table while it is being read, with all that its readers have to say of it."""

from dataclasses import dataclass, field

import pyarrow as pa

from shared.problems import Problem


@dataclass
class DraftColumn:
    """One column: its cells, what stood in those that are missing, and how its datetimes were written."""

    name: str
    cells: pa.ChunkedArray
    missing_marks: dict[str, int] = field(default_factory=dict)
    datetime_format: str | None = None


@dataclass
class Draft:
    """The columns, the reasons to refuse them, and what is worth knowing where they are taken."""

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
