"""Problems of the names of columns."""

from collections.abc import Iterator, Sequence

from pydantic import TypeAdapter, ValidationError

from shared.problems import Problem, list_names, pointer
from shared.spec import Column as ColumnName

_NAME: TypeAdapter[str] = TypeAdapter(ColumnName)


def wrong_names(names: Sequence[str]) -> Iterator[Problem]:
    """A problem for each empty, duplicate or invalid name. `names` are cleaned, in the order of the columns."""
    seen: set[str] = set()
    for index, name in enumerate(names):
        place = pointer("columns", name if name and len(name) <= 60 else index)
        if not name:
            yield Problem(place, f"column {index + 1} has an empty name; name it in the header", "empty_name")
        elif name in seen:
            detail = "names two columns (blanks around a name and the Unicode form of its accents do not count)"
            yield Problem(place, detail, "duplicate_name")
        elif not _is_name(name):
            detail = f"the name of column {index + 1} is longer than 256 characters or holds a control character"
            yield Problem(pointer("columns", index), detail, "invalid_name")
        seen.add(name)


def unknown_names(asked: Sequence[str], names: Sequence[str]) -> Iterator[Problem]:
    """A problem for each name in the query's `column_kinds` that no column has."""
    for name in asked:
        if name not in names:
            detail = f'received "{name[:60]}": no such column. The data has {list_names(names)}'
            yield Problem(pointer("query", "column_kinds"), detail, "unknown_column")


def _is_name(name: str) -> bool:
    try:
        _NAME.validate_python(name)
    except ValidationError:
        return False
    return True
