"""The options of an upload: the query parameters `missing_values` and `column_kinds` of PUT /datasets/{id}."""

import re
from dataclasses import dataclass, field
from typing import Any, get_args

from api.http.query import Query
from shared.column_names import clean_name
from shared.dataset import NUMBER_MARKS, TEXT_MARKS, AskedKind, DatasetInfo

_MOST_MARKS = 100
_MOST_MARK_CHARACTERS = 64
# A name may contain colons and commas: it ends before a colon, a kind, and a comma or the end.
_KIND = re.compile(rf"(.+?):({'|'.join(get_args(AskedKind))})(?:,|$)", re.DOTALL)
_KINDS = re.compile(f"({_KIND.pattern})+(?<!,)", re.DOTALL)
_AS_KIND: dict[str, AskedKind] = {kind: kind for kind in get_args(AskedKind)}

UPLOAD_PARAMETERS: dict[str, dict[str, Any]] = {
    "missing_values": {
        "type": "array",
        "items": {"type": "string"},
        "description": (
            "Cells that are missing values, separated by commas, as in `NA,?,-999`; may be repeated. Spaces around a "
            "cell are ignored; case matters. They replace the usual marks in every column; an empty cell "
            "is always missing. Usual marks, in every column of a CSV file: "
            f"`{'` `'.join(mark for mark in TEXT_MARKS if mark)}`. Only where the other cells are numbers, booleans or "
            f"datetimes: `{'` `'.join(mark for mark in NUMBER_MARKS if mark not in TEXT_MARKS)}`. Texts of a Parquet "
            "file have no usual marks."
        ),
    },
    "column_kinds": {
        "type": "array",
        "items": {"type": "string", "pattern": f"^(.+:({'|'.join(get_args(AskedKind))})(,|$))+$"},
        "description": (
            "Kinds of columns as NAME:KIND, separated by commas, as in `zip:text,age:number`; may be repeated. `text` "
            "keeps cells as they were written, `number` and `datetime` refuse a column with other cells. Without it a "
            "column is numbers, booleans or datetimes where all of its cells are, else text; numbers with leading "
            "zeros or a plus are text. Datetimes are ISO 8601, or day, month and year in an order that the column "
            "itself proves, such as 31.12.2020 or 12/31/2020 8:26."
        ),
    },
}


@dataclass(frozen=True)
class UploadOptions:
    """The sorted marks of missing values (None: the usual ones), and the requested kinds of columns by their names."""

    missing_values: tuple[str, ...] | None = None
    column_kinds: dict[str, AskedKind] = field(default_factory=dict)

    def are_those_of(self, info: DatasetInfo) -> bool:
        """Whether the dataset was uploaded with the same options."""
        return (info.missing_values, info.column_kinds) == (self.missing_values, self.column_kinds)


def read_options(query: Query) -> UploadOptions:
    """The options in the request's query."""
    marks = query.parse_all("missing_values", _parse_marks)
    kinds = query.parse_all("column_kinds", _parse_kinds)
    return UploadOptions(
        tuple(sorted({mark for some in marks for mark in some})) if marks else None,
        {name: kind for some in kinds for name, kind in some.items()},
    )


def _parse_marks(text: str) -> list[str]:
    marks = [mark.strip() for mark in text.split(",")]
    if len(marks) > _MOST_MARKS or any(len(mark) > _MOST_MARK_CHARACTERS for mark in marks):
        raise ValueError(f"at most {_MOST_MARKS} marks of at most {_MOST_MARK_CHARACTERS} characters, as in NA,?,-999")
    return [mark for mark in marks if mark]


def _parse_kinds(text: str) -> dict[str, AskedKind]:
    if not _KINDS.fullmatch(text):
        raise ValueError(f"NAME:KIND or NAME:KIND,NAME:KIND, each kind one of {', '.join(get_args(AskedKind))}")
    return {clean_name(name): _AS_KIND[kind] for name, kind in _KIND.findall(text)}
