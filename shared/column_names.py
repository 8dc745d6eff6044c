"""Normalized column names: without surrounding whitespace, in Unicode form NFC."""

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.dataset import DatasetInfo
    from shared.spec import TableSpec


def clean_name(name: str) -> str:
    """The name as a dataset stores it."""
    return unicodedata.normalize("NFC", name.strip())


def use_own_names(asked: "TableSpec", data: "DatasetInfo") -> "TableSpec":
    """The same spec with the columns' names as the dataset writes them; unknown names stay as they are."""
    own = {clean_name(name): name for name in data.column_names}
    own |= {name: name for name in data.column_names}

    def find(name: str) -> str:
        return own.get(name) or own.get(clean_name(name), name)

    chosen = asked.categorical
    return asked.model_copy(
        update={
            "target": find(asked.target),
            "drop_columns": tuple(map(find, asked.drop_columns)),
            "categorical": chosen if chosen == "auto" else tuple(map(find, chosen)),
        }
    )
