"""What all parts of a spec are made of: strict models, and texts that are safe to show."""

import unicodedata
from re import compile as pattern
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MOST_EPOCHS = 100_000
MOST_PARAMETERS = 50_000_000

Mode = Literal["auto", "min", "max"]

_JOINED = pattern("[\u200c\u200d]|\U0001f3f4[\U000e0020-\U000e007e]+\U000e007f")


class Strict(BaseModel):
    """A frozen value from outside: no unknown fields, no "5" for 5, no NaN."""

    model_config = ConfigDict(
        strict=True, frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )


def _printable(text: str) -> str:
    """Refuse what would break a terminal, a log line or a file: control, format and surrogate characters.

    The two joiners are spelling in some scripts, and with the tags of a flag they make emoji: these are taken.
    """
    for position, character in enumerate(_JOINED.sub(lambda found: "_" * len(found.group()), text)):
        if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
            raise ValueError(f"character U+{ord(character):04X} at position {position} is not allowed; use plain text")
    return text


Text = Annotated[str, AfterValidator(_printable)]
Column = Annotated[Text, Field(min_length=1, max_length=256)]
Monitor = Annotated[str, Field(min_length=1, max_length=64)]
Scalar = Annotated[int | float | bool | Text, Field(union_mode="smart")]
