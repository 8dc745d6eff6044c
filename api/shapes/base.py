"""Base types of all shapes, and pages of a list."""

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer", bound=BaseModel)

Time = Annotated[str, Field(json_schema_extra={"format": "date-time"}, description="RFC 3339, UTC")]
JobId = Annotated[str, Field(pattern=r"^job_[0-9A-HJKMNP-TV-Z]{26}$")]
Path = Annotated[str, Field(description="Path of this API", pattern="^/")]
Count = Annotated[int, Field(ge=0)]


class Shape(BaseModel):
    """Base class of answers: extra fields are forbidden, types are strict."""

    model_config = ConfigDict(strict=True, extra="forbid")


class Page(Shape, Generic[_Item]):
    """One page of a list."""

    object: Literal["list"]
    data: list[_Item]
    has_more: bool


def take_fields(answer: type[_Answer], stored: BaseModel, **more: Any) -> _Answer:
    """An answer with those fields of `stored` that it has, and `more`, which take precedence."""
    return answer(**{**{name: value for name, value in stored if name in answer.model_fields}, **more})
