"""Controls when a worker takes messages from the queue, for which Celery and kombu have no option.

A worker takes a message only while it can start a job at once; otherwise another worker gets it. It listens again as
soon as a slot is free; kombu's loop would notice that up to a second later. An item that is not a message is dropped
with a log line: it would make kombu end the whole worker (celery#4308, kombu#2421), as would a key of a wrong type.

This replaces functions of Celery (`amqp.TaskConsumer`) and kombu (`qos.can_consume`, `channel.handlers`), which
integration tests pin.
"""

import logging
from collections.abc import Callable
from functools import partial
from queue import Empty
from typing import Any

from celery import Celery, bootsteps
from redis.exceptions import ResponseError

from shared.queue import remove_wrong_types

# The task reports that its slot is free a moment before Celery counts the task as done.
_LOOK_AGAIN_SECONDS = 0.005
_MOST_LOOKS = 100

log = logging.getLogger(__name__)


def make_gate(
    may_take: Callable[[], bool], when_free: Callable[[Callable[[], None]], None]
) -> type[bootsteps.StartStopStep]:
    """Make a step of Celery's consumer, which runs at each connection to Redis.

    `when_free` gets a function to call, from any thread, whenever a slot becomes free.
    """

    class Gate(bootsteps.StartStopStep):  # type: ignore[misc]
        requires = ("celery.worker.consumer:Tasks",)

        def start(self, consumer: Any) -> None:
            channel = consumer.task_consumer.channel
            _take_only_when(may_take, channel.qos)
            when_free(partial(consumer.hub.call_soon, partial(_listen_again, consumer.hub, channel.qos)))
            _drop_what_is_no_message(channel.handlers, channel.client)

    return Gate


def _take_only_when(may_take: Callable[[], bool], qos: Any) -> None:
    kombus_own = qos.can_consume
    qos.can_consume = lambda: may_take() and kombus_own()


def _listen_again(hub: Any, qos: Any, looks: int = _MOST_LOOKS) -> None:
    """Wake kombu's loop, a few times if necessary, until the worker may take a notification."""
    if looks and not qos.can_consume():
        hub.call_later(_LOOK_AGAIN_SECONDS, _listen_again, hub, qos, looks - 1)


def _drop_what_is_no_message(handlers: dict[str, Callable[..., Any]], client: Any) -> None:
    kombus_own = handlers["BRPOP"]

    def read(**options: Any) -> Any:
        try:
            return kombus_own(**options)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning(
                "dropped an item of the queue that is not a notification: %s: %.200s", type(error).__name__, error
            )
            raise Empty from None
        except ResponseError as error:
            log.warning("a key of the queue in Redis has a wrong type: %s", error)
            remove_wrong_types(client)
            raise Empty from None

    handlers["BRPOP"] = read


def declare_on_clean_keys(app: Celery) -> None:
    """Make `app` remove keys of a wrong type before it declares the queue, because they would end the worker."""
    celerys_own = app.amqp.TaskConsumer

    def declare(connection: Any, *args: Any, **options: Any) -> Any:
        remove_wrong_types(connection.default_channel.client)
        return celerys_own(connection, *args, **options)

    app.amqp.TaskConsumer = declare
