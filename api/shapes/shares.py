"""Links to one job."""

from typing import Annotated, Literal

from pydantic import Field

from api.shapes.base import JobId, Path, Shape, Time
from api.state.share_store import SHARE_ID_PATTERN


class Share(Shape):
    """Link that shows one job to people without a key. `expires_at` is null for one that lasts as long as its key."""

    object: Literal["share"]
    id: Annotated[str, Field(pattern=SHARE_ID_PATTERN)]
    job: JobId
    key_id: Annotated[str, Field(description="Key that made it")]
    created_at: Time
    expires_at: Time | None


class NewShare(Share):
    """New link. Only this answer has its `token`, and the `url` of the page with the token after its `#`."""

    token: str
    url: Path
