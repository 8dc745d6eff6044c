"""Notifications of workers, "there is work", sent through Celery on Redis. The queue carries nothing else.

Losing a message, doubling it, or wiping Redis is harmless: the order of the queue and the state of every job are on the
volume, and workers look there by themselves every few seconds. The job's id in a notification is only a hint. So a
service may have no Redis at all: then each worker notifies only itself.
"""

import logging
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Protocol

from celery import Celery
from kombu.exceptions import OperationalError
from kombu.transport.redis import Channel
from redis.exceptions import RedisError, ResponseError

from shared.settings import Settings

QUEUE = "fitstop"
# The first versions gave the task its name, and workers of different versions share a queue.
TASK = "fitstop.ring"
# More rarely help: a worker that has run a job looks at the volume by itself, and a patrol notifies of the others.
MOST_PENDING = 50

log = logging.getLogger(__name__)


def make_celery(settings: Settings, answer_seconds: float = 3) -> Celery:
    """The Celery application of the API and of the worker; Redis has `answer_seconds` for each answer.

    Not for a service without Redis: raises ValueError.

    Early acknowledgement and no result backend: with late ones Redis hands a job that outlasts the visibility timeout
    to a second worker while the first still runs it (celery#5935), and an unknown id looks pending for ever.
    """
    if settings.redis_address is None:
        raise ValueError("there is no Redis")
    app = Celery("fitstop", broker=settings.redis_address, set_as_current=False)
    app.conf.update(
        result_backend=None,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        task_default_queue=QUEUE,
        task_create_missing_queues=True,
        task_acks_late=False,
        task_reject_on_worker_lost=False,
        task_publish_retry=False,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        # The default turns to True in Celery 6 and would kill a running job when Redis restarts.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options=_transport_options(answer_seconds),
    )
    return app


def _transport_options(answer_seconds: float) -> dict[str, Any]:
    """A socket's time-out must be longer than the worker's own blocking pop of one second."""
    return {
        # What a worker has received is never sent again: a notification may be lost. So Redis holds no keys for it, and
        # its user needs no script.
        "ack_emulation": False,
        "health_check_interval": 5,
        "socket_timeout": answer_seconds,
        "socket_connect_timeout": 0.5,
        "socket_keepalive": True,
        # A message that Redis does not take at once is given up: kombu's own waits of 2 s and more would keep a client
        # waiting, and the workers' patrol sends it again.
        "max_retries": 1,
        "interval_start": 0,
        "interval_step": 0,
    }


def remove_wrong_types(client: Any) -> None:
    """Remove each key that kombu uses for our queue and that has another type: it would end workers, and stop sending.

    Only somebody who has Redis's password can have made one.
    """
    lists = [QUEUE, *(f"{QUEUE}{Channel.sep}{priority}" for priority in Channel.priority_steps)]
    sets = [Channel.keyprefix_queue % QUEUE, Channel.keyprefix_binding_permanent % QUEUE]
    for kind, keys in (("list", lists), ("set", sets)):
        for key in keys:
            if client.type(key) not in {kind.encode(), b"none"}:
                log.warning("removed a key of the queue in Redis that is not a %s", kind)
                client.delete(key)


class JobQueue(Protocol):
    """What notifies workers. Never raises, since workers look at the volume by themselves."""

    def notify(self, *job_ids: str) -> bool:
        """Say that there is work. False where the notifications were lost."""

    def count_pending(self) -> int | None:
        """Number of notifications that no worker has received yet; None while nobody knows."""


class RedisQueue:
    """Notifies all workers through Redis."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def notify(self, *job_ids: str) -> bool:
        """Say that there is work. Answers within seconds: False where Redis did not take what was sent.

        Above MOST_PENDING that wait nothing is sent: a message costs more than the rest of a post.
        """
        try:
            with self._app.producer_pool.acquire(block=True) as producer:
                room = MOST_PENDING - int(producer.channel.client.llen(QUEUE))
                for job_id in job_ids[: max(0, room)]:
                    self._app.send_task(TASK, args=[job_id], ignore_result=True, producer=producer)
        except (OperationalError, RedisError, OSError) as error:
            if isinstance(error, ResponseError):
                self._clean_keys()
            named = ", ".join(job_ids)
            log.warning("the notification for %s did not reach Redis (%s); a worker's patrol finds it", named, error)
            return False
        return True

    def _clean_keys(self) -> None:
        with suppress(OperationalError, RedisError, OSError), self._app.producer_pool.acquire(block=True) as producer:
            remove_wrong_types(producer.channel.client)

    def count_pending(self) -> int | None:
        """Number of notifications that no worker has received yet; None while Redis is away."""
        try:
            with self._app.producer_pool.acquire(block=True) as producer:
                return int(producer.channel.client.llen(QUEUE))
        except (OperationalError, RedisError, OSError):
            return None


class OwnQueue:
    """Notifies the slots of this process alone, where there is no Redis; without slots, as in an API, nobody.

    What is more than one for each slot is dropped: a slot that receives a notification runs all jobs that wait.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._pending: SimpleQueue[str | None] = SimpleQueue()

    def notify(self, *job_ids: str) -> bool:
        for job_id in job_ids[: max(0, self._slots - self.count_pending())]:
            self._pending.put(job_id)
        return True

    def count_pending(self) -> int:
        return self._pending.qsize()

    def receive(self) -> str | None:
        """Wait for a notification and give its job's id; None when the slot is to end."""
        return self._pending.get()

    def end(self) -> None:
        """Let every slot end after its job. Safe in a signal handler."""
        for _ in range(self._slots):
            self._pending.put(None)
