"""The order of a list of jobs, and the cursor between two pages."""

import base64
import json
from collections.abc import Sequence

from api.http.operation import Schema, text
from api.state.index_file import METADATA_ORDER, ORDERS, Found, Key, Order
from shared.ids import is_job_id

# SQLite stores integers below this.
_MOST_WHOLE = 2**63
_SORTS = (
    f"What to sort by: {', '.join(ORDERS)}, or metadata.NAME; with a minus before it, the largest first. "
    "Jobs without the value come last. `best`, `epoch` and `finished` are known of jobs that have ended. "
    "Default: -created."
)
SORT: Schema = text(_SORTS, examples=["-best"])


def parse_order(text: str) -> Order:
    """The order that `sort` asks for. Raises ValueError."""
    by = text.removeprefix("-")
    if by not in ORDERS and not (by.startswith(METADATA_ORDER) and len(by) > len(METADATA_ORDER)):
        raise ValueError(f"one of {', '.join(ORDERS)}, or {METADATA_ORDER}NAME, with or without a minus before it")
    return Order(by, is_descending=text.startswith("-"))


def next_cursor(order: Order, found: Sequence[Found], limit: int) -> str | None:
    """The cursor (`after`) of the page after this one of `limit` jobs; None if this is the last page.

    It contains the value that the last job is sorted by, so that the job may be deleted in the meantime.
    """
    if len(found) <= limit:
        return None
    last = found[limit - 1]
    if order.is_newest_first:
        return last.id
    return base64.urlsafe_b64encode(json.dumps([last.key, last.id]).encode()).decode().rstrip("=")


def parse_cursor(order: Order, text: str) -> tuple[str, Key]:
    """The last job of the previous page, and the value that it is sorted by. Raises ValueError."""
    if order.is_newest_first:
        if not is_job_id(text):
            raise ValueError("a job's id")
        return text, None
    try:
        key, job_id = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars="-_", validate=True))
        if _is_key(key) and isinstance(job_id, str) and is_job_id(job_id):
            return job_id, key
    except (ValueError, TypeError, RecursionError):
        pass
    raise ValueError("`next` of the previous page, with the same sort")


def _is_key(key: object) -> bool:
    """Whether a job can be sorted by the value. Raises ValueError for a lone surrogate."""
    if isinstance(key, str):
        key.encode()
    return key is None or isinstance(key, str | float) or (isinstance(key, int) and abs(key) < _MOST_WHOLE)
