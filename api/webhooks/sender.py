"""The sender: finds events on the volume, and sends them to the webhooks that ask for them.

Each event is sent at least once, and those of a job in order: an event is in the file of its webhook before its job
counts as settled, and it is delivered before the next event of its job is tried. So no event is lost if the sender is
killed. If it is killed between a delivery and its record, the event is sent again with the same id.

Each webhook has its own task, so that a receiver that hangs delays no other. Of several senders on one state folder
only the one with the lock works. The kernel releases the lock with the process.
"""

import asyncio
import errno
import fcntl
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import IO, Any

from api.http.logs import start_logging
from api.state.deliveries import Delivery
from api.state.state_folder import open_state_folder
from api.state.webhook_store import EVENT_TYPES, WebhookRecord, WebhookStore
from api.webhooks.delivery_queue import DeliveryQueue
from api.webhooks.facts import Fact
from api.webhooks.guard import install
from api.webhooks.send import open_client, test_body, try_once
from api.webhooks.sweep_watch import SeenSweep, SweepWatch
from api.webhooks.watch import Seen, Watch
from shared.ids import is_sweep_id
from shared.mirror.opening import open_mirror
from shared.networks import parse_networks
from shared.seldom import Seldom
from shared.settings import BadEnvironment, Settings, read_settings
from shared.times import utc_now
from shared.volume import Volume

LOOK_SECONDS = 1.0
FIRST_WAIT_SECONDS = 1.0
# Pause after a failure of the volume or of the state folder.
_PAUSE_SECONDS = 5.0
_NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS})

# A host name that cannot be resolved occupies a thread for a while.
_THREADS = 128

_SWEEP_EVENTS = frozenset(one for one in EVENT_TYPES if one.startswith("sweep."))

_Send = Callable[[WebhookRecord], Coroutine[Any, Any, None]]

log = logging.getLogger(__name__)


def main() -> int:
    """Send until a signal. Exit status 2 for an unusable environment."""
    try:
        settings = read_settings()
    except BadEnvironment as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    os.umask(int(settings.umask, 8))
    start_logging(settings.log_level)
    # At lower levels they log each address with its secrets.
    for name in ("httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.WARNING)
    install(parse_networks(settings.webhook_networks))
    with suppress(asyncio.CancelledError):
        asyncio.run(_run_until_signal(settings))
    return 0


async def _run_until_signal(settings: Settings) -> None:
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(_THREADS))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    mirror, seldom = None, Seldom()
    while True:
        try:
            with await _hold_lock(WebhookStore(open_state_folder(settings))):
                if mirror is None and (mirror := open_mirror(settings, settings.volume)) is not None:
                    mirror.begin()
                await Sender(settings).run()
        except OSError as error:
            if seldom.is_due(str(error)):
                log.error("the sender pauses: %s", error)
        except Exception:
            # The process must not end: a new Sender starts from the files.
            log.exception("the sender starts again after an error")
        await asyncio.sleep(_PAUSE_SECONDS)


async def _hold_lock(store: WebhookStore) -> IO[bytes]:
    """Wait for the lock of the only sender. On a filesystem without locks, every sender gets it, with a warning."""
    file = (store.folder / "lock").open("ab")
    while True:
        store.show_sender()
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            await asyncio.sleep(LOOK_SECONDS)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                file.close()
                raise
            log.warning("%s has no locks: run one sender only", store.folder)
            return file
        else:
            return file


class Sender:
    """Sends until it is cancelled. If the volume or the state folder fails, `run` raises OSError: create a new one."""

    def __init__(self, settings: Settings, first_wait_seconds: float = FIRST_WAIT_SECONDS) -> None:
        self._networks = settings.webhook_networks
        self._store = WebhookStore(open_state_folder(settings))
        self._volume = Volume(settings.volume)
        self._first_wait = first_wait_seconds
        self._watch: Watch | None = None
        self._sweep_watch: SweepWatch | None = None
        self._queues: dict[str, DeliveryQueue] = {}

    async def run(self) -> None:
        """Look for events once a second, and keep one task running for each webhook."""
        try:
            async with open_client() as self._client, _Tasks() as tasks:
                while True:
                    webhooks = await self._look()
                    tasks.keep({one.id: one for one in webhooks}, self._send_all)
                    self._store.show_sender()
                    await asyncio.sleep(LOOK_SECONDS)
                    tasks.check()
        finally:
            self._close_queues(set())

    async def _look(self) -> list[WebhookRecord]:
        """Find events, and add each to the queues of the webhooks that ask for it. Return the webhooks."""
        webhooks = self._store.all()
        if not webhooks:
            self._close_queues(set())
            return []
        since = min(one.since_ns for one in webhooks)
        seen = await asyncio.to_thread(self._look_at_jobs, since)
        seen_sweeps = await asyncio.to_thread(self._look_at_sweeps, webhooks)
        # Listed after the look, so that a webhook that was created before an event is included.
        webhooks = self._store.all()
        self._close_queues({one.id for one in webhooks})
        facts = [fact for one in seen for fact in one.facts] + [fact for one in seen_sweeps for fact in one.facts]
        for webhook in webhooks:
            self._add(webhook, facts)
        self._watch_of_jobs.settle(one.job_id for one in seen if one.is_over)
        self._watch_of_sweeps.settle(seen_sweeps)
        return webhooks

    def _look_at_jobs(self, since_ns: int) -> list[Seen]:
        self._volume.check()
        return self._watch_of_jobs.look(since_ns)

    def _look_at_sweeps(self, webhooks: list[WebhookRecord]) -> list[SeenSweep]:
        """Look at the sweeps, if a webhook asks for their events."""
        wanted = [one.since_ns for one in webhooks if _SWEEP_EVENTS.intersection(one.events)]
        return self._watch_of_sweeps.look(min(wanted)) if wanted else []

    @property
    def _watch_of_sweeps(self) -> SweepWatch:
        if self._sweep_watch is None:
            self._sweep_watch = SweepWatch(self._volume, self._store.folder)
        return self._sweep_watch

    def _is_settled(self, subject: str) -> bool:
        watch = self._watch_of_sweeps if is_sweep_id(subject) else self._watch_of_jobs
        return watch.is_settled(subject)

    @property
    def _watch_of_jobs(self) -> Watch:
        if self._watch is None:
            self._watch = Watch(self._volume, self._store.folder)
        return self._watch

    def _add(self, webhook: WebhookRecord, facts: list[Fact]) -> None:
        try:
            queue = self._queue_of(webhook)
            queue.add(delivery_of(fact) for fact in facts if is_for(webhook, fact))
            for test in list(self._store.tests(webhook.id)):
                body = test_body(webhook, test.requested_at)
                queue.add([Delivery(id=test.id, type="test", job=None, body=body, created_at=test.requested_at)])
                self._store.end_test(webhook.id, test.id)
        except FileNotFoundError:
            if self._store.find(webhook.id) is not None:
                raise
            # It was deleted in the meantime.

    def _queue_of(self, webhook: WebhookRecord) -> DeliveryQueue:
        if webhook.id not in self._queues:
            place = self._store.place(webhook.id)
            self._queues[webhook.id] = DeliveryQueue(place, self._is_settled, self._first_wait)
        return self._queues[webhook.id]

    def _close_queues(self, there: set[str]) -> None:
        """Close the queues of all webhooks whose ids are not in `there`."""
        for webhook_id in self._queues.keys() - there:
            self._queues.pop(webhook_id).close()

    async def _send_all(self, webhook: WebhookRecord) -> None:
        queue = self._queues.get(webhook.id)
        while queue is not None:
            queue.wake.clear()
            delivery, wait = queue.next()
            if delivery is None or wait > 0:
                with suppress(TimeoutError):
                    await asyncio.wait_for(queue.wake.wait(), wait or None)
                continue
            outcome = await try_once(self._client, webhook, delivery, self._networks)
            queue.record(delivery, *outcome)


def is_for(webhook: WebhookRecord, fact: Fact) -> bool:
    """Whether a webhook asks for the event and was created before it."""
    return (
        fact.type in webhook.events
        and fact.subject.project == webhook.project
        and fact.moment_ns >= webhook.since_ns
        and webhook.job_name in {None, fact.subject.name}
        and webhook.metadata.items() <= fact.subject.metadata.items()
    )


def delivery_of(fact: Fact) -> Delivery:
    """A pending delivery of an event, with the id of the event."""
    return Delivery(id=fact.id, type=fact.type, job=fact.subject.id, body=fact.body, created_at=utc_now())


class _Tasks:
    """One task for each webhook. All are cancelled at the end of the block."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def __aenter__(self) -> "_Tasks":
        return self

    async def __aexit__(self, *_error: object) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def keep(self, webhooks: dict[str, WebhookRecord], send: _Send) -> None:
        """Cancel the tasks of deleted webhooks, and start those of new ones."""
        for gone in self._tasks.keys() - webhooks.keys():
            self._tasks.pop(gone).cancel()
        for webhook_id in webhooks.keys() - self._tasks.keys():
            self._tasks[webhook_id] = asyncio.create_task(send(webhooks[webhook_id]))

    def check(self) -> None:
        """Raise the exception of a task that has ended."""
        for task in self._tasks.values():
            if task.done():
                task.result()
