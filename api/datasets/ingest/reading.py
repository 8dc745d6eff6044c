"""The options of an upload for reading the cells of a table."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.dataset import NUMBER_MARKS, TEXT_MARKS, AskedKind


@dataclass(frozen=True)
class Reading:
    """Marks of missing values that replace the usual ones (None keeps them), and the kinds of some columns."""

    missing_values: tuple[str, ...] | None = None
    column_kinds: Mapping[str, AskedKind] = field(default_factory=dict)

    @property
    def text_marks(self) -> list[str]:
        """The marks of missing values in a column of text."""
        return self._marks(TEXT_MARKS)

    @property
    def number_marks(self) -> list[str]:
        """The marks of missing values in a column of numbers, booleans or datetimes."""
        return self._marks(NUMBER_MARKS)

    def _marks(self, usual: tuple[str, ...]) -> list[str]:
        return list(usual if self.missing_values is None else {"", *self.missing_values})
