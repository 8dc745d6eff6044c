"""The doorbell: "there is work", rung through Celery on Redis. It carries nothing else.

Losing a ring, doubling it, or wiping Redis is harmless: the order of the queue and the state of every job are on the
volume, and workers look there by themselves every few seconds. The job's id in a ring is only a hint.
"""

import base64
import json
import logging
from functools import cached_property
from typing import Any
from uuid import uuid4

from celery import Celery
from kombu.exceptions import OperationalError
from redis import Redis
from redis.exceptions import RedisError

from shared.settings import Settings

QUEUE = "fitstop"
RING = "fitstop.ring"

log = logging.getLogger(__name__)


def make_celery(settings: Settings, answer_seconds: float = 3) -> Celery:
    """The Celery application of the API and of the worker; Redis has `answer_seconds` for each answer.

    Early acknowledgement and no result backend: with late ones Redis hands a job that outlasts the visibility timeout
    to a second worker while the first still runs it (celery#5935), and an unknown id looks pending for ever.
    """
    app = Celery("fitstop", broker=settings.redis_url.get_secret_value(), set_as_current=False)
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
        "visibility_timeout": 300,
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


def message(job_id: str) -> bytes:
    """A ring as Celery's `send_task` puts it into Redis; by hand, since its way there costs a millisecond."""
    ring_id = str(uuid4())
    body = [[job_id], {}, dict.fromkeys(("callbacks", "errbacks", "chain", "chord"))]
    nothing = ("shadow", "eta", "expires", "group", "group_index", "parent_id", "stamped_headers")
    headers: dict[str, Any] = {
        **dict.fromkeys(nothing),
        "lang": "py",
        "task": RING,
        "id": ring_id,
        "root_id": ring_id,
        "retries": 0,
        "timelimit": [None, None],
        "argsrepr": repr([job_id]),
        "kwargsrepr": "{}",
        "origin": "fitstop",
        "ignore_result": True,
        "replaced_task_nesting": 0,
        "stamps": {},
    }
    properties = {
        "correlation_id": ring_id,
        "reply_to": "",
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": QUEUE},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": str(uuid4()),
    }
    envelope = {
        "body": base64.b64encode(json.dumps(body).encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": headers,
        "properties": properties,
    }
    return json.dumps(envelope).encode()


class Doorbell:
    """Rings workers; never raises where Redis is away, since they look at the volume by themselves."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    @cached_property
    def _redis(self) -> Redis:
        """Celery's own way to Redis, kept: finding it anew costs more than a ring. It connects again by itself."""
        self._connection = self._app.connection_for_write()
        client: Redis = self._connection.default_channel.client
        return client

    def ring(self, *job_ids: str) -> bool:
        """Say that there is work. Answers within seconds: True once a ring for each job is in Redis."""
        try:
            self._redis.lpush(QUEUE, *map(message, job_ids))
        except (OperationalError, RedisError, OSError) as error:
            told = ", ".join(job_ids)
            log.warning("the doorbell for %s did not reach Redis (%s); a worker's sweep will find it", told, error)
            return False
        return True

    def unheard(self) -> int | None:
        """How many rings nobody has heard yet; None while Redis is away."""
        try:
            return int(self._redis.llen(QUEUE))
        except (OperationalError, RedisError, OSError):
            return None
