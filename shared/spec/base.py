"""What all parts of a spec are made of: strict models, and texts that are safe to show."""

import unicodedata
from collections.abc import Callable, Sequence
from re import compile as pattern
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

MOST_DEVICES = 64
MOST_EPOCHS = 100_000
MOST_PARAMETERS = 50_000_000

Mode = Literal["auto", "min", "max"]

_JOINED = pattern("[\u200c\u200d]|\U0001f3f4[\U000e0020-\U000e007e]+\U000e007f")


class Strict(BaseModel):
    """A frozen value from outside: no unknown fields, no "5" for 5, no NaN."""

    model_config = ConfigDict(
        strict=True, frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )


def kind_of(known: Sequence[str]) -> Callable[[Any], str]:
    """What tells the branches of a union by their field `kind`: the first one where it is missing or unknown."""

    def tag(value: Any) -> str:
        kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
        return str(kind) if kind in known else known[0]

    return tag


class ByKind:
    """Describes such a union by `anyOf` in JSON schema: without `kind` a value may match several of its branches."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler(core)
        schema["anyOf"] = schema.pop("oneOf")
        return schema


def check_printable(text: str) -> str:
    """Refuse what would break a terminal, a log line or a file: control, format and surrogate characters.

    The two joiners are spelling in some scripts, and with the tags of a flag they make emoji: these are taken.
    """
    for position, character in enumerate(_JOINED.sub(lambda found: "_" * len(found.group()), text)):
        if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
            raise ValueError(f"character U+{ord(character):04X} at position {position} is not allowed; use plain text")
    return text


Text = Annotated[str, AfterValidator(check_printable)]
Column = Annotated[Text, Field(min_length=1, max_length=256)]
Monitor = Annotated[str, Field(min_length=1, max_length=64)]
Scalar = Annotated[int | float | bool | Text, Field(union_mode="smart")]
