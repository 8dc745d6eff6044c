"""The queue of the deliveries to one webhook, in order for each job, and the file that stores them."""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

from api.state.deliveries import Delivery, Journal, journal_file
from shared.times import seconds_since, seconds_until, time_in, utc_now

KEPT_SECONDS = 24 * 3600.0
# Minimum number of tries, in about half an hour, so that no delivery is given up because the clock was set forward.
LEAST_TRIES = 12
MOST_WAIT_SECONDS = 3600.0
_KEPT_FINISHED = 100
_MOST_BYTES = 4 * 1024**2


class DeliveryQueue:
    """The queue of one webhook, for use in one event loop. `wake` is set when there is something new to send."""

    def __init__(self, folder: Path, is_settled: Callable[[str], bool], first_wait_seconds: float) -> None:
        self.wake = asyncio.Event()
        self._is_settled = is_settled
        self._first_wait = first_wait_seconds
        self._journal = Journal(journal_file(folder))
        self._known = self._journal.read()
        self._waiting = {one.id: one for one in self._known.values() if one.status == "pending"}
        self._rewrite()

    def add(self, deliveries: Iterable[Delivery]) -> None:
        """Store new deliveries, after those of the same jobs. Known ones are ignored."""
        new = {one.id: one for one in deliveries if one.id not in self._known}
        if not new:
            return
        self._journal.append(new.values())
        self._known.update(new)
        self._waiting.update(new)
        self.wake.set()

    def next(self) -> tuple[Delivery | None, float]:
        """The delivery to try next, and the seconds until then. For each job only the oldest is considered."""
        first: dict[str, Delivery] = {}
        for one in self._waiting.values():
            first.setdefault(one.job or one.id, one)
        found = min(first.values(), key=_wait_of, default=None)
        return found, _wait_of(found) if found else 0.0

    def record(self, delivery: Delivery, answer: int | None, error: str | None) -> Delivery:
        """Store the outcome of a try. Without `error` it was delivered. A test is tried only once."""
        tries = delivery.tries + 1
        is_old = tries >= LEAST_TRIES and seconds_since(delivery.created_at) > KEPT_SECONDS
        is_last_try = is_old or delivery.job is None
        status = "delivered" if error is None else "given_up" if is_last_try else "pending"
        again = time_in(self._wait_after(tries)) if status == "pending" else None
        tried = {"status": status, "tries": tries, "last_try_at": utc_now(), "next_try_at": again}
        changed = delivery.model_copy(update={**tried, "answer": answer, "error": error})
        self._journal.append([changed])
        self._known[changed.id] = changed
        if status == "pending":
            self._waiting[changed.id] = changed
        else:
            del self._waiting[changed.id]
        if status == "delivered":
            self._retry_now()
        if self._journal.bytes > 2 * self._least_bytes:
            self._rewrite()
        return changed

    def close(self) -> None:
        self._journal.close()

    def _wait_after(self, tries: int) -> float:
        return min(MOST_WAIT_SECONDS, self._first_wait * 2.0 ** min(tries - 1, 30))

    def _retry_now(self) -> None:
        """Retry deliveries without an answer or with a 5xx answer at once: the receiver works again."""
        for one in list(self._waiting.values()):
            if one.next_try_at is not None and (one.answer is None or one.answer >= 500):
                self._waiting[one.id] = one.model_copy(update={"next_try_at": None})

    def _rewrite(self) -> None:
        """Keep the pending deliveries, those of subjects that are not settled, and the newest of the others."""
        done = [one for one in self._known.values() if one.status != "pending"]
        unsettled = [one for one in done if one.job is not None and not self._is_settled(one.job)]
        newest = sorted(done, key=lambda one: one.last_try_at or "")[-_KEPT_FINISHED:]
        kept = {one.id for one in (*unsettled, *newest, *self._waiting.values())}
        self._known = {name: one for name, one in self._known.items() if name in kept}
        self._journal.rewrite(self._known.values())
        self._least_bytes = max(_MOST_BYTES, self._journal.bytes)


def _wait_of(delivery: Delivery) -> float:
    """Seconds until the next try; 0 if that is longer than any wait, because the clock was set back."""
    if delivery.next_try_at is None:
        return 0.0
    wait = seconds_until(delivery.next_try_at)
    return wait if 0 < wait <= MOST_WAIT_SECONDS else 0.0
