"""Notifications of workers, "there is work", sent through Celery on Redis. The queue carries nothing else.

A message may be lost or doubled and Redis may be wiped without harm: the order of the queue and the state of every job
are on the volume, which workers check by themselves every few seconds. The job's id in a notification is only a hint.
So a service may have no Redis at all: then each worker notifies only itself.
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
# The name from the first versions, kept because workers of different versions share a queue.
TASK = "fitstop.ring"
# More notifications rarely help: after a job, a worker checks the volume by itself, and a patrol notifies of the rest.
MOST_PENDING = 50

log = logging.getLogger(__name__)


def make_celery(settings: Settings, answer_seconds: float = 3) -> Celery:
    """The Celery application of the API and of the worker. Redis has `answer_seconds` for each answer.

    Raises ValueError if the service has no Redis.

    Tasks are acknowledged early: with late acknowledgement, Redis hands a job that outlasts the visibility timeout to a
    second worker while the first still runs it (celery#5935). There is no result backend, in which an unknown id looks
    pending for ever.
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
    """Connection options. The timeout must be longer than the worker's own blocking pop of one second."""
    return {
        # A received notification is never sent again, since notifications may be lost. So Redis keeps no keys for it,
        # and its user needs no permission for scripts.
        "ack_emulation": False,
        "health_check_interval": 5,
        "socket_timeout": answer_seconds,
        "socket_connect_timeout": 0.5,
        "socket_keepalive": True,
        # A message that Redis does not accept at once is dropped: kombu's own delays of 2 s and more would keep a
        # client waiting, and the workers' patrol sends it again.
        "max_retries": 1,
        "interval_start": 0,
        "interval_step": 0,
    }


def remove_wrong_types(client: Any) -> None:
    """Remove keys of the queue that have another type than kombu expects: they would end workers and stop sending.

    Only somebody with the password of Redis can have created one.
    """
    lists = [QUEUE, *(f"{QUEUE}{Channel.sep}{priority}" for priority in Channel.priority_steps)]
    sets = [Channel.keyprefix_queue % QUEUE, Channel.keyprefix_binding_permanent % QUEUE]
    for kind, keys in (("list", lists), ("set", sets)):
        for key in keys:
            if client.type(key) not in {kind.encode(), b"none"}:
                log.warning("removed a key of the queue in Redis that is not a %s", kind)
                client.delete(key)


class JobQueue(Protocol):
    """Notifies workers. Never raises, since workers check the volume by themselves."""

    def notify(self, *job_ids: str) -> bool:
        """Notify workers that there is work. False if the notifications were lost."""

    def count_pending(self) -> int | None:
        """Number of notifications that no worker has received yet; None if unknown."""


class RedisQueue:
    """Notifies all workers through Redis."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def notify(self, *job_ids: str) -> bool:
        """Notify workers that there is work, within seconds. False if Redis did not accept the notifications.

        Sends none while MOST_PENDING are pending: a message costs more than the rest of a POST request.
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
        """Number of notifications that no worker has received yet; None while Redis is unavailable."""
        try:
            with self._app.producer_pool.acquire(block=True) as producer:
                return int(producer.channel.client.llen(QUEUE))
        except (OperationalError, RedisError, OSError):
            return None


class OwnQueue:
    """Notifies only the slots of this process, without Redis. A process without slots, as an API, notifies nobody.

    Drops notifications above one for each slot: a slot that receives a notification runs all jobs that wait.
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
        """Wait for a notification and return its job's id; None when the slot must end."""
        return self._pending.get()

    def end(self) -> None:
        """End every slot after its job. Safe in a signal handler."""
        for _ in range(self._slots):
            self._pending.put(None)
