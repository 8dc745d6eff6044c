"""The messages of a webhook about jobs and sweeps, while processes are killed."""

from collections import Counter

from proofs.bucket_volume.stand import Stand
from tests.support.webhooks import Receiver

EVENTS = ("job.succeeded", "job.failed", "job.cancelled", "sweep.finished")


def add(stand: Stand, receiver: Receiver) -> None:
    """Create a webhook that sends the ends of all jobs and sweeps to the receiver."""
    receiver.secret = stand.ask("POST", "/webhooks", {"address": receiver.url, "events": list(EVENTS)})["secret"]


def missing(receiver: Receiver, wanted: dict[str, str]) -> list[str]:
    """The ids for which the receiver has no message yet. `wanted`: the event of each id."""
    told = {one["data"]["id"] for one in list(receiver.accepted)}
    return sorted(wanted.keys() - told)


def judge(receiver: Receiver, wanted: dict[str, str], extended: set[str]) -> list[str]:
    """Find messages that are missing, report another end, or came too often. One may come twice, under the same id.

    `extended`: sweeps that have ended twice.
    """
    messages = {one["webhook-id"]: (one["data"]["id"], one["type"]) for one in receiver.accepted}
    told = Counter(messages.values())
    broken = [f"{one}: the webhook was not told {event}" for one, event in wanted.items() if not told[one, event]]
    for (one, event), count in told.items():
        if count > 1 + (one in extended) or wanted.get(one, event) != event:
            broken.append(f"{one}: the webhook was told {event} in {count} messages")
    if receiver.bad_signatures:
        broken.append(f"{receiver.bad_signatures} signatures are wrong")
    return broken
