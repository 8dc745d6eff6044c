"""What a webhook was told of the jobs and sweeps, whatever was killed meanwhile."""

from collections import Counter

from proofs.bucket_volume.stand import Stand
from tests.support.webhooks import Receiver

EVENTS = ("job.succeeded", "job.failed", "job.cancelled", "sweep.finished")


def add(stand: Stand, receiver: Receiver) -> None:
    """Have the ends of all jobs and sweeps sent to the receiver."""
    receiver.secret = stand.ask("POST", "/webhooks", {"address": receiver.url, "events": list(EVENTS)})["secret"]


def missing(receiver: Receiver, wanted: dict[str, str]) -> list[str]:
    """The ids of those of which the receiver was not told yet. `wanted` is the event of each."""
    told = {one["data"]["id"] for one in list(receiver.accepted)}
    return sorted(wanted.keys() - told)


def judge(receiver: Receiver, wanted: dict[str, str], extended: set[str]) -> list[str]:
    """What was not told, told as another end, or told too often. A message may come twice, under the same id.

    `extended` are sweeps that have ended twice.
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
