"""The base of all documents on the volume: a format number, and one way to read them.

Several versions share a volume: an upgrade goes from one machine to the next, and a volume outlives many versions. So
fields of the same format that this version does not know are ignored, at any depth, and fields that an older version
did not write have their defaults. For a document of a newer format, reading raises NewerFormat, which names it.

The same models validate what a client sends, without this tolerance (`shared.validation`).
"""

from pathlib import Path
from typing import TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from shared.durable import read_bytes
from shared.plain_files import UnusableDocument as UnusableDocument  # noqa: PLC0414  readers of documents import it
from shared.plain_files import document_name

# Increased for a change that an older version would misunderstand, but not for a new field that it may ignore.
FORMAT = 1

_Document = TypeVar("_Document", bound="Document")


class NewerFormat(UnusableDocument):
    """A document that a newer version wrote; only that version can use it."""

    code = "newer_format"


class Document(BaseModel):
    """A document with a file of its own. The first versions wrote `version` for `format`, or no number."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    format: int = Field(default=FORMAT, ge=1, validation_alias=AliasChoices("format", "version"))


def read_document(path: Path, kind: type[_Document]) -> _Document | None:
    """The document at `path`; None if it does not exist. Raises UnusableDocument, OSError."""
    content = read_bytes(path)
    return None if content is None else parse_document(content, kind, document_name(path))


def parse_document(content: bytes, kind: type[_Document], name: str) -> _Document:
    """Parse the content of the file called `name`. Raises UnusableDocument."""
    try:
        document = kind.model_validate_json(content, extra="ignore")
    except ValidationError as error:
        check_format(content, name)
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UnusableDocument(f"{name} is damaged: {place}: {first['msg']}") from error
    check_number(document.format, name)
    return document


def check_format(content: bytes, name: str) -> None:
    """Raise NewerFormat if the content of the file called `name`, which need not be JSON, states a newer format."""
    try:
        document = from_json(content)
    except ValueError:
        return
    number = document.get("format", document.get("version")) if isinstance(document, dict) else None
    if isinstance(number, int):
        check_number(number, name)


def check_number(number: int, name: str) -> None:
    """Raise NewerFormat for a format number above this version's."""
    if number > FORMAT:
        raise NewerFormat(
            f"{name} was written by a newer version of Fitstop (format {number}, and this version reads up to "
            f"{FORMAT}); upgrade this machine's Fitstop"
        )
